"""Scans as a worker runs them: taken once, taken over from the dead, stopped, ended in time, purged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from app.errors import NotFoundError
from app.jobs.context import Context
from app.jobs.runner import Runner
from app.jobs.scan import Scans
from app.jobs.sweep import Sweep
from app.models.scans import Scan, ScanState
from app.services import scans
from app.services.scan_specs import ScanCreate, ScanPublic
from tests.support.engine import Engine
from tests.support.waiting import until


@asynccontextmanager
async def scanning(context: Context) -> AsyncIterator[None]:
    task = asyncio.create_task(Scans(context).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _add(engine: Engine, path: str | None = None, kind: str = "folder") -> UUID:
    source = {"kind": kind, "path": path or str(engine.sources)}
    body = ScanCreate.model_validate({"proxy_host_id": engine.site.host_id, "source": source})
    async with engine.database.session() as session:
        return (await scans.create(session, body, created_by="test")).id


async def change(engine: Engine, scan_id: UUID, **members: Any) -> None:
    async with engine.database.session() as session:
        row = await session.get_one(Scan, scan_id)
        for name, value in members.items():
            setattr(row, name, value)


async def _shown(engine: Engine, scan_id: UUID) -> ScanPublic:
    async with engine.database.reading() as session:
        return scans.public(await scans.get(session, scan_id))


async def _is_gone(engine: Engine, scan_id: UUID) -> bool:
    async with engine.database.reading() as session:
        return await session.get(Scan, scan_id) is None


async def ended(engine: Engine, scan_id: UUID) -> ScanPublic:
    async def has_ended() -> bool:
        return (await _shown(engine, scan_id)).state in {ScanState.SUCCEEDED, ScanState.FAILED}

    await until(has_ended)
    return await _shown(engine, scan_id)


async def test_it_lists_the_vms_with_their_concerns_and_their_sources(engine: Engine) -> None:
    path = engine.source("web 1.img")
    async with scanning(await engine.context()):
        shown = await ended(engine, await _add(engine))
    assert (shown.state, shown.problem, shown.complete) == (ScanState.SUCCEEDED, None, True)
    (item,) = shown.items
    assert item.source is not None
    assert item.vm is not None
    assert item.source.model_dump() == {"kind": "disk", "path": path}
    assert (item.vm.name, item.vm.importable, item.vm.disks[0].format) == ("web 1", True, "raw")
    assert [concern.code for concern in item.vm.concerns] == ["nic_without_mac"]


async def test_what_can_t_be_looked_at_fails_with_a_problem(engine: Engine) -> None:
    async with scanning(await engine.context()):
        missing = await ended(engine, await _add(engine, f"{engine.sources}/none"))
        outside = await ended(engine, await _add(engine, "/etc"))
        gone = await _add(engine)
        await change(engine, gone, proxy_host_id=uuid4())
        hostless = await ended(engine, gone)
    codes = [shown.problem.code if shown.problem else None for shown in (missing, outside, hostless)]
    assert codes == ["source_not_found", "source_not_allowed", "not_found"]


async def test_a_record_that_can_t_be_read_fails_with_a_problem(engine: Engine) -> None:
    scan_id = await _add(engine)
    await change(engine, scan_id, source={"kind": "floppy"})
    async with scanning(await engine.context()):
        shown = await ended(engine, scan_id)
    assert shown.source is None
    assert shown.problem is not None
    assert shown.problem.code == "record_unreadable"


async def test_a_scan_of_a_dead_worker_is_taken_over(engine: Engine) -> None:
    dead, alive = await engine.context(), await engine.context()
    scan_id = await _add(engine)
    async with engine.database.session() as session:
        (row,) = await scans.take(session, dead.worker_id, 10)
    async with scanning(alive):
        await engine.bury(dead)
        shown = await ended(engine, scan_id)
    assert shown.state is ScanState.SUCCEEDED
    async with engine.database.session() as session:
        await scans.end(session, scan_id, row.turn, problem=NotFoundError())
    assert (await _shown(engine, scan_id)).problem is None


async def test_a_scan_that_ends_its_workers_fails(engine: Engine) -> None:
    scan_id = await _add(engine)
    await change(engine, scan_id, turn=scans.MOST_TURNS)
    async with scanning(await engine.context()):
        shown = await ended(engine, scan_id)
    assert shown.problem is not None
    assert shown.problem.code == "scan_interrupted"


async def test_what_a_worker_says_to_run_and_doesn_t_is_given_back(engine: Engine) -> None:
    context = await engine.context()
    scan_id = await _add(engine)
    async with engine.database.session() as session:
        await scans.take(session, context.worker_id, 10)
    async with scanning(context):
        assert (await ended(engine, scan_id)).state is ScanState.SUCCEEDED


async def test_a_scan_that_takes_too_long_fails(engine: Engine) -> None:
    async with scanning(await engine.context(scan_limit_seconds=0.001)):
        shown = await ended(engine, await _add(engine))
    assert shown.problem is not None
    assert shown.problem.code == "scan_timeout"


async def test_one_that_waits_is_deleted_at_once(engine: Engine) -> None:
    scan_id = await _add(engine)
    async with engine.database.session() as session:
        await scans.forget(session, await scans.get_locked(session, scan_id))
    assert await _is_gone(engine, scan_id)


async def test_one_that_runs_is_stopped_and_then_gone(engine: Engine) -> None:
    """It looks at a host that takes the connection and says nothing."""
    async with await asyncio.start_server(_say_nothing, "127.0.0.1", 0) as silent:
        await engine.set_host(port=silent.sockets[0].getsockname()[1])
        scan_id = await _add(engine)
        async with scanning(await engine.context()):
            await until(lambda: _is_running(engine, scan_id))
            async with engine.database.session() as session:
                await scans.forget(session, await scans.get_locked(session, scan_id))
            await until(lambda: _is_gone(engine, scan_id), seconds=10)


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _is_running(engine: Engine, scan_id: UUID) -> bool:
    return (await _shown(engine, scan_id)).state is ScanState.RUNNING


async def test_only_so_many_run_at_the_same_time(engine: Engine) -> None:
    context = await engine.context(worker_scans=1)
    ids = [await _add(engine) for _ in range(3)]
    job = Scans(context)
    async with asyncio.TaskGroup() as group:
        await job.once(group)
        states = [(await _shown(engine, scan_id)).state for scan_id in ids]
        assert states.count(ScanState.QUEUED) == 2
    async with scanning(context):
        for scan_id in ids:
            assert (await ended(engine, scan_id)).state is ScanState.SUCCEEDED


async def test_the_sweep_drops_those_that_ended_long_ago(engine: Engine) -> None:
    context = await engine.context(scan_lifetime_seconds=1)
    async with scanning(context):
        scan_id = await _add(engine)
        shown = await ended(engine, scan_id)
    assert shown.finished_at is not None
    await change(engine, scan_id, finished_at=shown.created_at.replace(year=2020))
    waiting = await _add(engine)
    async with asyncio.TaskGroup() as group:
        await Sweep(context, Runner(context)).once(group)
    assert await _is_gone(engine, scan_id)
    assert not await _is_gone(engine, waiting)
