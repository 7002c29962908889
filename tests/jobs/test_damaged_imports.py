"""An import whose records or files can't be read ends, undone as far as is known; the others go on."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from app.jobs.advance_import import advance_import
from app.jobs.context import Context
from app.jobs.runner import Runner
from app.jobs.sweep import Sweep
from app.models.attempts import Artifact, Attempt, Reservation
from app.models.imports import VmImport
from app.models.proxy_hosts import ProxyHost
from app.models.vms import Vm
from app.secrets import Sealer
from tests.support.damage import CUT_OFF, NEWER_WORD, OTHER_MEMBERS, Damage, column_of
from tests.support.engine import Engine
from tests.support.rows import SEALER
from tests.support.waiting import until

sqlite_only = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@asynccontextmanager
async def _working(engine: Engine, context: Context) -> AsyncIterator[None]:
    """The worker's sweep and watchers."""
    task = asyncio.create_task(Sweep(context, Runner(context)).run())
    try:
        async with engine.watching(context):
            yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _converting(engine: Engine, context: Context) -> UUID:
    """An import whose virt-v2v runs and waits."""
    engine.virt_v2v.hold()
    import_id = await engine.queue()
    await advance_import(context, import_id)
    await until(lambda: engine.virt_v2v.starts() == 1)
    return import_id


async def _fails(engine: Engine, import_id: UUID) -> None:
    """It ends as failed for this reason, and its virt-v2v with it."""

    async def has_failed() -> bool:
        row = await engine.site.row(import_id)
        return row.state == "failed" and row.problem is not None and row.problem.code == "record_unreadable"

    await until(has_failed)
    [process_id] = engine.virt_v2v.process_ids()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
    async with engine.database.reading() as session:
        assert (await session.execute(select(Reservation))).first() is None
        assert (await session.execute(select(Vm))).first() is None


async def _succeeds(engine: Engine, name: str = "web-2.img") -> None:
    engine.virt_v2v.let_go()
    other = await engine.site.queue(path=engine.source(name))
    await until(lambda: engine.has_ended(other))
    assert (await engine.site.row(other)).state == "succeeded"


@sqlite_only
@pytest.mark.parametrize(
    ("table", "member", "value"),
    [
        (VmImport, "spec", {"source": {"kind": NEWER_WORD}, "conversion": {}}),
        (VmImport, "state", NEWER_WORD),
        (VmImport, "step", NEWER_WORD),
        (VmImport, "direction", NEWER_WORD),
        (Attempt, "facts", CUT_OFF),
        (Attempt, "facts", {"target": [], "place": 1, "launched": 7}),
    ],
)
async def test_what_runs_is_ended_and_removed(
    engine: Engine, table: type[SQLModel], member: str, value: object
) -> None:
    context = await engine.context()
    import_id = await _converting(engine, context)
    await Damage(engine.database, column_of(table, member)).do(value)
    async with _working(engine, context):
        if member != "state":
            await advance_import(context, import_id)
        await _fails(engine, import_id)
    assert engine.left_on_the_host() == []


@sqlite_only
async def test_what_can_t_be_undone_is_left_and_on_record(engine: Engine) -> None:
    context = await engine.context()
    import_id = await _converting(engine, context)
    async with engine.database.reading() as session:
        statement = select(Artifact.id).where(Artifact.kind == "target")  # type: ignore[arg-type]  # a column
        [artifact_id] = (await session.execute(statement)).scalars()
    await Damage(engine.database, column_of(Artifact, "details"), artifact_id).do(OTHER_MEMBERS)
    await Damage(engine.database, column_of(VmImport, "spec")).do(CUT_OFF)
    async with _working(engine, context):
        await advance_import(context, import_id)
        await until(lambda: engine.has_ended(import_id))
        row = await engine.site.row(import_id)
        assert row.problem is not None
        assert (row.state, row.problem.code) == ("failed", "record_unreadable")
        assert engine.left_on_the_host() != []
        await _succeeds(engine)
    async with engine.database.reading() as session:
        assert (await session.get(Artifact, artifact_id)) is not None


@sqlite_only
async def test_what_is_only_shown_stops_no_import(engine: Engine) -> None:
    context = await engine.context()
    import_id = await _converting(engine, context)
    for member in ("progress", "disk_progress", "warnings", "labels"):
        await Damage(engine.database, column_of(VmImport, member)).do(CUT_OFF)
    engine.virt_v2v.let_go()
    async with _working(engine, context):
        await advance_import(context, import_id)
        await until(lambda: engine.has_ended(import_id))
    row = await engine.site.row(import_id)
    assert row.state == "succeeded"
    assert [warning.code for warning in row.warnings] == ["record_unreadable"]


@sqlite_only
async def test_a_request_that_can_t_be_read_never_begins(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.site.queue(path=engine.source())
    await Damage(engine.database, column_of(VmImport, "spec")).do(CUT_OFF)
    async with _working(engine, context):
        await until(lambda: engine.has_ended(import_id))
        row = await engine.site.row(import_id)
        assert row.problem is not None
        assert (row.state, row.problem.code) == ("failed", "record_unreadable")
        await _succeeds(engine)


@sqlite_only
async def test_another_key_file_is_waited_out(engine: Engine) -> None:
    context = await engine.context()
    import_id = await _converting(engine, context)
    engine.virt_v2v.let_go()
    async with engine.database.session() as session:
        host = await session.get_one(ProxyHost, engine.site.host_id)
        right, host.sealed_secrets = host.sealed_secrets, Sealer(b"x" * 32).seal({}, "proxy_hosts:other")
    await engine.proxies.close()

    async def tells_why() -> bool:
        retry = (await engine.site.row(import_id)).retry
        return retry is not None and "can't be opened" in retry.reason

    await advance_import(context, import_id)
    assert await tells_why()
    await engine.set_host(sealed_secrets=right)
    async with _working(engine, context):
        await until(lambda: engine.has_ended(import_id))
    assert (await engine.site.row(import_id)).state == "succeeded"
    assert engine.virt_v2v.starts() == 1


def _damage_exit_code(job: Path) -> None:
    (job / "exit_code").write_bytes(b"\xff")


def _damage_launched_and_turns(job: Path) -> None:
    (job / "launched").write_bytes(b'{"secret_fil')
    (job.parents[2] / "turns" / job.parent.name).write_bytes(b"garbage\n")


@sqlite_only
@pytest.mark.parametrize(
    ("damage", "codes"),
    [
        (_damage_exit_code, {"conversion_lost"}),
        (_damage_launched_and_turns, {None}),
    ],
)
async def test_notes_on_the_host_that_can_t_be_read_leave_nothing_behind(
    engine: Engine, damage: Callable[[Path], None], codes: set[str | None]
) -> None:
    context = await engine.context(automatic_retries=0)
    import_id = await _converting(engine, context)
    [job] = (engine.work_dir / "attempts").glob("*/job")
    engine.virt_v2v.let_go()
    await until((job / "exit_code").exists)
    damage(job)
    async with _working(engine, context):
        await advance_import(context, import_id)
        await until(lambda: engine.has_ended(import_id))
        await _succeeds(engine)
    row = await engine.site.row(import_id)
    assert {row.problem.code if row.problem else None} == codes
    assert not job.exists()


@sqlite_only
async def test_a_log_that_can_t_be_read_stops_no_import_on_its_host(engine: Engine) -> None:
    context = await engine.context()
    import_id = await _converting(engine, context)
    [log] = (engine.work_dir / "attempts").glob("*/job/log")
    log.unlink()
    log.mkdir()
    async with _working(engine, context):
        await _succeeds(engine)
        await until(lambda: engine.has_ended(import_id))
    assert (await engine.site.row(import_id)).state == "succeeded"


@sqlite_only
async def test_secrets_that_can_t_be_opened_keep_others_on_the_host_followed(engine: Engine) -> None:
    context = await engine.context(host_unreachable_limit_seconds=1.0)
    engine.virt_v2v.hold()
    import_id = await engine.queue()
    await advance_import(context, import_id)
    async with engine.database.session() as session:
        row = await session.get_one(VmImport, import_id)
        row.sealed_secrets = SEALER.seal({}, "vm_imports:another")
    async with _working(engine, context):
        await _succeeds(engine)
        assert not await engine.has_ended(import_id)
        await engine.cancel(import_id)
        await advance_import(context, import_id)
        await until(lambda: engine.has_ended(import_id))
    assert (await engine.site.row(import_id)).state == "cancelled"
    assert engine.left_on_the_host() != []
