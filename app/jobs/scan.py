"""Scans: a worker takes those that nobody works on, looks, and saves what was found."""

import asyncio
from datetime import timedelta
from uuid import UUID

from app import logs
from app.actions.scan_source import Deep, Scanned, scan_source
from app.db import is_unavailable
from app.errors import AppError, ScanFailedError, ScanTimeoutError
from app.jobs.context import Context
from app.models.columns import now
from app.models.scans import Scan
from app.services import proxy_hosts, scans
from app.services.scan_specs import source_from_row
from app.sources.base import Site
from app.sources.provider_vm import provider_id_in

LOOKS_PART = 0.8
"""Of a deep scan's time; the rest is for what has to be ended and removed on the host."""

log = logs.get("scan")


class Scans:
    """This worker's scans, so many at the same time. What it doesn't end, for it was killed, others take."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._called = asyncio.Event()
        self._running: dict[UUID, asyncio.Timeout | None] = {}
        """With what ends each while it looks."""

    def call(self) -> None:
        """There is a new one."""
        self._called.set()

    async def run(self) -> None:
        """Until it is cancelled; what it began ends with it."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._called.clear()
                try:
                    await self.once(group)
                except Exception:  # the top of a job: the next pass tries again
                    log.exception("scans.failed")
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._context.settings.sweep_seconds):
                await self._called.wait()
        except TimeoutError:
            return

    async def once(self, group: asyncio.TaskGroup) -> None:
        """End what was forgotten, and begin what waits and finds a place."""
        await self._look_after_own()
        free = self._context.settings.worker_scans - len(self._running)
        if free <= 0:
            return
        async with self._context.database.reading() as session:
            if not await scans.is_any_waiting(session):
                return
        async with self._context.database.session() as session:
            taken = await scans.take(session, self._context.worker_id, free)
        for row in taken:
            # Known as running from here on, or the next pass would give it back.
            self._running[row.id] = None
            group.create_task(self._run(row))

    async def _look_after_own(self) -> None:
        context = self._context
        async with context.database.reading() as session:
            held = await scans.held_by(session, context.worker_id)
        for scan_id, limit in self._running.items():
            if limit is not None and held.get(scan_id, True):
                limit.reschedule(asyncio.get_running_loop().time())
        lost = [scan_id for scan_id in held if scan_id not in self._running]
        if lost:
            async with context.database.session() as session:
                await scans.give_back(session, lost, context.worker_id)

    def _left_seconds(self, row: Scan) -> float:
        over_at = (row.started_at or now()) + timedelta(seconds=self._context.settings.scan_limit_seconds)
        return max((over_at - now()).total_seconds(), 0.0)

    async def _run(self, row: Scan) -> None:
        try:
            await self._end(row, await self._look(row))
        except Exception as error:  # the top of a job
            if is_unavailable(error):
                log.warning("scan.database_failed", scan_id=str(row.id), error=str(error))
            else:
                log.exception("scan.failed", scan_id=str(row.id))
        finally:
            del self._running[row.id]
            self.call()

    async def _look(self, row: Scan) -> Scanned | AppError:
        limit_seconds = self._context.settings.scan_limit_seconds
        try:
            async with asyncio.timeout(self._left_seconds(row)) as self._running[row.id]:
                return await self._scan(row)
        except TimeoutError:
            return ScanTimeoutError(f"The scan did not end within {limit_seconds:g} s.")
        except AppError as error:
            return error
        except Exception as error:
            if is_unavailable(error):
                raise
            log.exception("scan.failed", scan_id=str(row.id))
            return ScanFailedError(f"It failed for a reason that was not expected: {type(error).__name__}.")
        finally:
            self._running[row.id] = None

    async def _scan(self, row: Scan) -> Scanned:
        scans.check_turns(row)
        source = source_from_row(row.source)
        async with self._context.database.reading() as session:
            host = await proxy_hosts.get(session, row.proxy_host_id)
        provider = await self._context.providers.source(provider_id_in(source))
        agent = await self._context.agent(host.id)
        site = Site(agent, host.source_roots, provider, host.status.virt_v2v)
        looks_seconds = self._left_seconds(row) * LOOKS_PART
        deep = Deep(host, row.id, row.turn, looks_seconds) if row.deep else None
        return await scan_source(source, site, deep)

    async def _end(self, row: Scan, result: Scanned | AppError) -> None:
        async with self._context.database.session() as session:
            if isinstance(result, AppError):
                await scans.end(session, row.id, row.turn, problem=result)
            else:
                await scans.end(session, row.id, row.turn, items=result.items, complete=result.complete)
        log.info("scan.ended", scan_id=str(row.id))
