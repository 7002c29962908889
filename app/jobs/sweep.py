"""The sweep: wakes what stands still, and looks after what nobody else does."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

from app import logs
from app.actions.create_upload import UploadTools
from app.actions.probe_host import call_back, probe_host, status_with
from app.actions.remove_uploads import clear_uploads
from app.errors import AppError, HostKeyUnverifiedError
from app.jobs.context import Context
from app.jobs.runner import Runner
from app.models.proxy_hosts import HostState, HostStatus, ProxyHost
from app.proxy.base import HostAddress
from app.services import (
    checks,
    damaged_imports,
    idempotency,
    imports,
    proxy_hosts,
    records,
    scans,
    turns,
    uploads,
    waiting,
    workers,
)

WAKES_AT_ONCE = 500
AGAIN_SECONDS = 10.0
"""An import that was woken and not claimed since is woken again."""
PROBES_AT_ONCE = 8
PURGE_SECONDS = 60.0
CLEAR_SECONDS = 1.0
"""The least time between two looks for uploads that are over."""

log = logs.get("sweep")


class Pulse:
    """Tells dead workers by beats that stand still, on this process's own clock."""

    def __init__(self, dead_after_seconds: float) -> None:
        self._dead_after_seconds = dead_after_seconds
        self._seen: dict[UUID, tuple[int, float]] = {}

    def dead(self, beats: dict[UUID, int], at_seconds: float) -> list[UUID]:
        """Workers whose beat was the same for too long."""
        for worker_id, beat in beats.items():
            if self._seen.get(worker_id, (None, 0.0))[0] != beat:
                self._seen[worker_id] = (beat, at_seconds)
        self._seen = {worker_id: seen for worker_id, seen in self._seen.items() if worker_id in beats}
        return [
            worker_id
            for worker_id, (_, since) in self._seen.items()
            if at_seconds - since >= self._dead_after_seconds
        ]


class Sweep:
    """One worker's sweep. All workers sweep: what two of them do at once is done twice, without harm."""

    def __init__(self, context: Context, runner: Runner) -> None:
        self._context, self._runner = context, runner
        self._pulse = Pulse(context.settings.worker_dead_after_seconds)
        self._probing: set[UUID] = set()
        self._is_first = False
        self._purged_at = -PURGE_SECONDS
        self._clearing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until it is cancelled; what it began ends with it."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self.once(group)
                await asyncio.sleep(self._context.settings.sweep_seconds)

    async def once(self, group: asyncio.TaskGroup) -> None:
        """One pass; a part that fails leaves the others to be done."""
        parts: tuple[Callable[[asyncio.TaskGroup], Awaitable[None]], ...] = (
            self._bury_workers,
            self._free_claims,
            self._end_lost,
            self._wake_due,
            self._admit,
            self._tell,
            self._probe_hosts,
            self._purge,
            self._clear_uploads,
        )
        for part in parts:
            try:
                await part(group)
            except Exception:  # the top of a job: the next pass tries again
                log.exception("sweep.failed", part=part.__name__)

    async def _bury_workers(self, _: asyncio.TaskGroup) -> None:
        database = self._context.database
        async with database.reading() as session:
            beats = await workers.beats(session)
        # The oldest worker does what one of them is enough for.
        self._is_first = next(iter(beats), None) == self._context.worker_id
        for worker_id in self._pulse.dead(beats, time.monotonic()):
            if worker_id == self._context.worker_id:
                continue
            async with database.session() as session:
                freed = await workers.remove(session, worker_id)
            log.warning("worker.dead", worker_id=str(worker_id), freed_turns=freed)

    async def _free_claims(self, _: asyncio.TaskGroup) -> None:
        """Turns of our own that ended when the database could not be told."""
        worker_id = self._context.worker_id
        async with self._context.database.reading() as session:
            claims = await turns.claimed_by(session, worker_id)
        for import_id, turn in claims:
            if not self._runner.is_running(import_id):
                async with self._context.database.session() as session:
                    await turns.give_up(session, import_id, turn, worker_id)

    async def _end_lost(self, _: asyncio.TaskGroup) -> None:
        async with self._context.database.reading() as session:
            if not await damaged_imports.is_any_lost(session):
                return
        async with self._context.database.session() as session:
            await damaged_imports.end_lost(session)

    async def _wake_due(self, group: asyncio.TaskGroup) -> None:
        async with self._context.database.reading() as session:
            if not await turns.is_any_due(session):
                return
        if await self._context.queue.ping():
            for import_id in await self._take_due(WAKES_AT_ONCE):
                await self._context.queue.wake(import_id)
            return
        # Without Redis nobody can be woken: the turns are run here.
        if not self._runner.is_full():
            for import_id in await self._take_due(self._context.settings.worker_turns):
                group.create_task(self._runner.run(import_id))

    async def _take_due(self, limit: int) -> list[UUID]:
        async with self._context.database.session() as session:
            return await turns.take_due(session, limit=limit, again_after_seconds=AGAIN_SECONDS)

    async def _admit(self, _: asyncio.TaskGroup) -> None:
        async with self._context.database.reading() as session:
            is_due = await waiting.is_any_due(session)
        if is_due:
            await self._context.admit()

    async def _tell(self, _: asyncio.TaskGroup) -> None:
        """Tell clients what could not be told when it happened."""
        if not self._is_first:
            return
        async with self._context.database.reading() as session:
            untold = await imports.untold(session)
        if untold and await self._context.events.ping():
            for import_id in untold:
                await self._context.announce(import_id)

    async def _probe_hosts(self, group: asyncio.TaskGroup) -> None:
        if not self._is_first:
            return
        settings = self._context.settings
        async with self._context.database.reading() as session:
            due = await checks.hosts_due(
                session,
                check_seconds=settings.host_check_seconds,
                retry_seconds=settings.host_retry_seconds,
            )
        for host in due:
            if len(self._probing) >= PROBES_AT_ONCE:
                return
            if host.id not in self._probing:
                self._probing.add(host.id)
                group.create_task(self._probe(host))

    async def _purge(self, _: asyncio.TaskGroup) -> None:
        """Forget answers that nobody can ask for again, and uploads and scans that ended long ago."""
        if not self._is_first or time.monotonic() - self._purged_at < PURGE_SECONDS:
            return
        self._purged_at = time.monotonic()
        async with self._context.database.session() as session:
            await idempotency.purge(session, self._context.settings.idempotency_lifetime_seconds)
            await uploads.purge(session)
            await scans.purge(session, self._context.settings.scan_lifetime_seconds)

    async def _clear_uploads(self, group: asyncio.TaskGroup) -> None:
        """End uploads that are over, and remove what nobody needs. A host that hangs holds up no pass."""
        if not self._is_first or (self._clearing is not None and not self._clearing.done()):
            return
        async with self._context.database.reading() as session:
            is_due = await uploads.is_any_due(session)
        if is_due:
            self._clearing = group.create_task(self._clear())

    async def _clear(self) -> None:
        context = self._context
        tools = UploadTools(context.database, context.sealer, context.proxies, context.settings)
        try:
            await clear_uploads(tools)
        except Exception:  # the top of a job: the next pass tries again
            log.exception("uploads.failed")
        await asyncio.sleep(CLEAR_SECONDS)

    async def _probe(self, host: ProxyHost) -> None:
        try:
            status = await self._found(host)
            async with self._context.database.session() as session:
                # A record that was changed meanwhile is probed anew rather than told of its former self.
                if (await proxy_hosts.get(session, host.id)).version == host.version:
                    await proxy_hosts.save_status(session, host.id, status)
            await call_back(self._context.database, host, status)
        except Exception:  # the top of a job: the next pass tries again
            log.exception("probe.failed", host_id=str(host.id))
        finally:
            self._probing.discard(host.id)

    async def _found(self, host: ProxyHost) -> HostStatus:
        try:
            records.check(f"proxy host {host.name!r}", host, {"environment", "source_roots"})
            return await probe_host(host, self._address(host), self._context.proxies)
        except AppError as error:
            return status_with(host, HostState.UNUSABLE, error)

    def _address(self, host: ProxyHost) -> HostAddress | None:
        try:
            return proxy_hosts.host_address(host, self._context.sealer)
        except HostKeyUnverifiedError:
            return None
