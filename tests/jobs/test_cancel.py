"""A cancel is durable and final: at every step, whatever breaks, and against every race.

The host agent, sshd, the databases and a tiny virt-v2v are real; workers are driven by the test.
"""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import select

from app.errors import ConflictError, ImportEndedError, ImportNotEndedError, ImportNotRetryableError
from app.jobs.advance_import import advance_import
from app.jobs.context import Context
from app.models.attempts import Artifact
from app.models.imports import VmImport
from app.models.state import StepName
from app.models.vms import Disk, Vm
from app.services import endings, imports, timeline
from tests.support.engine import MIB, Engine
from tests.support.rows import up
from tests.support.steps import NAMES, assert_nothing_is_left, with_act
from tests.support.waiting import until

ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MOMENTS = [
    *((name, "before_do") for name in NAMES),
    *((name, "after_do") for name in NAMES[:-1]),
]
"""After the last step's work there is nothing to cancel any more."""


async def _cancel_or_not(engine: Engine, import_id: UUID) -> bool:
    """Whether the cancel was taken; it comes too late when the import has succeeded."""
    try:
        await engine.cancel(import_id)
    except ImportEndedError:
        return False
    return True


async def _force(engine: Engine, import_id: UUID) -> VmImport:
    async with engine.database.session() as session:
        row = await imports.get_locked(session, import_id)
        await endings.cancel_by_force(session, row)
    return row


async def _begun(engine: Engine, context: Context, **members: object) -> UUID:
    """An import whose virt-v2v runs, and holds still."""
    engine.virt_v2v.hold()
    import_id = await engine.queue(**members)
    await advance_import(context, import_id)
    await until(lambda: engine.virt_v2v.starts() == 1)
    return import_id


# --- at every step ---------------------------------------------------------------------------------------


@ONE_DATABASE
@pytest.mark.parametrize(("name", "moment"), MOMENTS)
async def test_a_cancel_at_any_step_leaves_nothing(engine: Engine, name: StepName, moment: str) -> None:
    context = await engine.context()
    import_id = await engine.queue(keep_on_failure=True)

    async def cancel_twice() -> None:
        await engine.cancel(import_id)
        await engine.cancel(import_id)

    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=with_act(name, cancel_twice, moment))
    assert (row.state, row.problem) == ("cancelled", None)
    await assert_nothing_is_left(engine)


@ONE_DATABASE
@pytest.mark.parametrize("name", NAMES[:-1])
async def test_a_cancel_outlives_the_worker_that_was_at_work(engine: Engine, name: StepName) -> None:
    first, second = await engine.context(), await engine.context()
    import_id = await engine.queue()
    died = asyncio.Event()

    async def cancel_and_die() -> None:
        await engine.cancel(import_id)
        await engine.bury(first)
        died.set()
        raise asyncio.CancelledError

    steps = with_act(name, cancel_and_die, "after_do")
    async with engine.watching(second):
        while not died.is_set():
            turn = asyncio.create_task(advance_import(first, import_id, steps))
            await asyncio.wait({turn})
            await asyncio.sleep(0.02)
        row = await engine.drive(second, import_id)
    assert row.state == "cancelled"
    await assert_nothing_is_left(engine)


@ONE_DATABASE
@pytest.mark.parametrize("name", [StepName.RESERVE_TARGET, StepName.CONVERT_DISKS, StepName.RELEASE_TARGET])
async def test_a_cancel_waits_for_a_host_that_is_away_says_why_and_ends_when_it_is_back(
    engine: Engine, name: StepName
) -> None:
    context = await engine.context()
    import_id = await engine.queue()

    async def cancel_and_cut() -> None:
        await engine.cancel(import_id)
        await engine.set_host(port=1)

    async def waits() -> bool:
        row = await engine.site.row(import_id)
        return row.state == "cancelling" and row.retry is not None and "127.0.0.1" in row.retry.reason

    async def drive() -> None:
        await engine.drive(context, import_id, steps=with_act(name, cancel_and_cut, "before_do"))

    async with engine.watching(context), asyncio.TaskGroup() as group:
        group.create_task(drive())
        await until(waits)
        await engine.cancel(import_id)
        await engine.set_host(port=engine.sshd.port)
    row = await engine.site.row(import_id)
    assert (row.state, row.retry) == ("cancelled", None)
    await assert_nothing_is_left(engine)


async def test_a_cancel_before_the_time_to_start_or_in_the_queue_is_at_once(engine: Engine) -> None:
    context = await engine.context()
    later = await engine.site.queue(start_after="2999-01-01T00:00:00Z")
    queued = await engine.site.queue(path="/srv/2.img")
    for import_id in (later, queued):
        await engine.cancel(import_id)
        await advance_import(context, import_id)
        assert (await engine.site.row(import_id)).state == "cancelled"
    assert await engine.site.admit() == []


async def test_a_cancel_while_a_failure_is_undone_keeps_nothing(engine: Engine) -> None:
    engine.virt_v2v.plan(size_bytes=MIB)
    context = await engine.context()
    import_id = await engine.queue(keep_on_failure=True)

    async def cancel() -> None:
        await engine.cancel(import_id)

    steps = with_act(StepName.RESERVE_TARGET, cancel, "before_undo")
    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=steps)
    assert (row.state, row.problem) == ("cancelled", None)
    await assert_nothing_is_left(engine)


async def test_a_cancel_while_an_earlier_attempt_is_cleared_ends_cancelled(engine: Engine) -> None:
    engine.virt_v2v.plan(size_bytes=MIB)
    context = await engine.context()
    import_id = await engine.queue(keep_on_failure=True)
    async with engine.watching(context):
        assert (await engine.drive(context, import_id)).state == "failed"
    await engine.retry(import_id)
    await engine.cancel(import_id)
    assert (await engine.drive(context, import_id)).state == "cancelled"
    await assert_nothing_is_left(engine)


# --- by force --------------------------------------------------------------------------------------------


async def test_a_forced_cancel_ends_at_once_and_a_retry_clears_what_was_left(engine: Engine) -> None:
    context = await engine.context()
    import_id = await _begun(engine, context)
    await engine.set_host(port=1)
    await engine.cancel(import_id)
    await advance_import(context, import_id)
    assert (await engine.site.row(import_id)).retry is not None
    assert (await _force(engine, import_id)).state == "cancelled"
    async with engine.database.reading() as session:
        notes = await timeline.page(session, import_id, after=None, limit=100)
        assert (await session.execute(select(Artifact))).all()
        assert (await session.execute(select(Vm))).all() == []
    assert "left_behind" in [note.kind for note in notes]
    await engine.set_host(port=engine.sshd.port)
    await engine.retry(import_id)
    await advance_import(context, import_id)
    assert (await engine.site.row(import_id)).attempt == 2
    assert engine.left_on_the_host() == []


async def test_a_forced_cancel_of_what_can_be_undone_leaves_nothing(engine: Engine) -> None:
    context = await engine.context()
    import_id = await _begun(engine, context)
    assert (await _force(engine, import_id)).state == "cancelling"
    async with engine.watching(context):
        assert (await engine.drive(context, import_id)).state == "cancelled"
    await assert_nothing_is_left(engine)


async def test_the_first_failure_of_a_host_ends_a_forced_cancel(engine: Engine) -> None:
    context = await engine.context()
    import_id = await _begun(engine, context)
    await engine.set_host(port=1, status=up())
    assert (await _force(engine, import_id)).state == "cancelling"
    await advance_import(context, import_id)
    assert (await engine.site.row(import_id)).state == "cancelled"


# --- races -----------------------------------------------------------------------------------------------


async def test_of_a_cancel_and_a_success_exactly_one_happens(engine: Engine) -> None:
    """Cancels come at many moments around the last commit of imports that end at the same time."""
    count = 8
    await engine.set_host(max_concurrent_imports=count)
    context = await engine.context()
    ids = [await engine.site.queue(path=engine.source(f"vm-{number}.img")) for number in range(count)]
    await engine.site.admit()
    cancels: dict[UUID, asyncio.Task[bool]] = {}

    async def race(number: int, import_id: UUID) -> None:
        async def cancel_soon() -> None:
            cancels[import_id] = asyncio.create_task(late(number / 25))

        async def late(seconds: float) -> bool:
            await asyncio.sleep(seconds)
            return await _cancel_or_not(engine, import_id)

        steps = with_act(StepName.RELEASE_TARGET, cancel_soon, "before_do")
        await engine.drive(context, import_id, steps=steps)
        await cancels[import_id]

    async with engine.watching(context), asyncio.TaskGroup() as group:
        for number, import_id in enumerate(ids):
            group.create_task(race(number, import_id))
    taken = {import_id: cancels[import_id].result() for import_id in ids}
    for import_id, was_taken in taken.items():
        await _assert_one_end(engine, import_id, was_cancelled=was_taken)
    assert len(engine.left_on_the_host()) == 3 * list(taken.values()).count(False)


async def _assert_one_end(engine: Engine, import_id: UUID, *, was_cancelled: bool) -> None:
    row = await engine.site.row(import_id)
    async with engine.database.reading() as session:
        vms = list((await session.execute(select(Vm).where(Vm.import_id == import_id))).scalars())
        disks = [
            disk
            for vm in vms
            for disk in (await session.execute(select(Disk).where(Disk.vm_id == vm.id))).scalars()
        ]
    left = engine.left_on_the_host()
    assert (row.state, len(vms)) == (("cancelled", 0) if was_cancelled else ("succeeded", 1))
    assert all(disk.path in left and disk.state == "ok" for disk in disks)


async def test_of_a_cancel_a_retry_and_a_deletion_each_is_done_whole_or_refused(engine: Engine) -> None:
    for _ in range(10):
        import_id = await engine.site.queue()
        await engine.cancel(import_id)

        async def delete(import_id: UUID = import_id) -> None:
            async with engine.database.session() as session:
                await imports.remove(session, await imports.get_locked(session, import_id))

        ends = await asyncio.gather(
            engine.retry(import_id), engine.cancel(import_id), delete(), return_exceptions=True
        )
        failures = [end for end in ends if end is not None]
        assert all(isinstance(end, ConflictError | imports.NotFoundError) for end in failures), failures
        allowed = (ImportNotEndedError, ImportNotRetryableError, imports.NotFoundError)
        assert all(isinstance(end, allowed) for end in failures)
        async with engine.database.reading() as session:
            row = await session.get(VmImport, import_id)
        assert (row is None) == (ends[2] is None)
        if row is not None and row.state == "queued":
            await engine.cancel(import_id)


# --- a virt-v2v that doesn't want to end -----------------------------------------------------------------


@ONE_DATABASE
async def test_a_virt_v2v_that_ignores_sigterm_and_hides_its_helpers_is_ended(engine: Engine) -> None:
    engine.virt_v2v.path.write_text(
        "#!/bin/bash\n"
        "trap '' TERM\n"
        f"echo $$ >>{engine.virt_v2v.path.parent}/started\n"
        "setsid bash -c 'trap \"\" TERM; while :; do sleep 60 & sleep 0.05; done' &\n"
        "while :; do sleep 0.1; done\n"
    )
    context = await engine.context(stop_grace_seconds=0.1)
    import_id = await _begun(engine, context)
    await engine.cancel(import_id)
    row = await engine.drive(context, import_id)
    assert row.state == "cancelled"
    await assert_nothing_is_left(engine)
