"""Imports from the queue to their end, with a real sshd, the real agent and a tiny virt-v2v."""

import asyncio

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.jobs.advance_import import advance_import
from app.jobs.trouble import MOST_TRIES
from app.models.attempts import Artifact, Reservation
from app.models.state import StepName
from app.models.vms import Disk, Vm, VmName
from app.services import imports
from tests.support.engine import MIB, Engine
from tests.support.steps import with_act
from tests.support.tiny_virt_v2v import CONVERSION, message
from tests.support.waiting import until


async def _count(engine: Engine, *tables: type) -> list[int]:
    async with engine.database.reading() as session:
        return [len((await session.execute(select(table))).all()) for table in tables]


async def test_a_vm_goes_in(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.queue(vm={"name": "web one"})
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert (row.state, row.problem, row.step) == ("succeeded", None, "release_target")
    assert row.progress.percent == 100
    async with engine.database.reading() as session:
        vm = (await session.execute(select(Vm))).scalar_one()
        disk = (await session.execute(select(Disk))).scalar_one()
        name = (await session.execute(select(VmName))).scalar_one()
    assert (vm.id, vm.name, vm.state, name.vm_id) == (row.vm_id, "web one", "down", vm.id)
    assert (disk.state, disk.capacity_bytes) == ("ok", 4 * MIB)
    assert disk.path in engine.left_on_the_host()
    assert await _count(engine, Artifact, Reservation) == [0, 0]
    assert engine.virt_v2v.starts() == 1


async def test_the_vm_is_locked_while_virt_v2v_runs(engine: Engine) -> None:
    context = await engine.context()
    engine.virt_v2v.hold()
    import_id = await engine.queue()
    await advance_import(context, import_id)
    async with engine.database.reading() as session:
        vm = (await session.execute(select(Vm))).scalar_one()
        disk = (await session.execute(select(Disk))).scalar_one()
    assert (vm.state, disk.state) == ("locked", "locked")
    row = await engine.site.row(import_id)
    assert (row.step, row.worker_id) == ("convert_disks", None)


async def test_a_failed_conversion_leaves_nothing_but_its_reason_and_its_log(engine: Engine) -> None:
    error = message("error", "inspection could not detect the source guest (or physical machine).")
    engine.virt_v2v.plan([*CONVERSION[:2], error], last_lines=(), exit_code=1)
    context = await engine.context()
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code, row.vm_id) == ("failed", "no_os_found", None)
    assert await _count(engine, Vm, Disk, VmName, Artifact, Reservation) == [0, 0, 0, 0, 0]
    assert engine.left_on_the_host() == []
    attempt = await engine.site.attempt(import_id)
    assert (attempt.outcome, attempt.kept_bytes > 0) == ("failed", True)


async def test_exit_code_0_without_the_right_disk_is_no_success(engine: Engine) -> None:
    engine.virt_v2v.plan(size_bytes=MIB)
    context = await engine.context()
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "output_invalid")
    assert engine.left_on_the_host() == []


async def test_keep_on_failure_keeps_what_was_made_and_a_retry_removes_it(engine: Engine) -> None:
    engine.virt_v2v.plan(size_bytes=MIB)
    context = await engine.context()
    import_id = await engine.queue(keep_on_failure=True)
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
        assert row.state == "failed"
        async with engine.database.reading() as session:
            assert (await session.execute(select(Vm))).scalar_one().state == "illegal"
        kept = engine.left_on_the_host()
        assert kept
        engine.virt_v2v.plan()
        await engine.retry(import_id)
        row = await engine.drive(context, import_id)
    assert (row.state, row.attempt) == ("succeeded", 2)
    assert not set(kept) & set(engine.left_on_the_host())
    assert await _count(engine, Vm, Artifact) == [1, 0]


async def test_a_source_that_is_not_there_fails_with_its_code(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.queue(path=f"{engine.sources}/nothing.img")
    row = await engine.drive(context, import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "source_not_found")
    assert [attempt.outcome for attempt in await engine.attempts(import_id)] == ["moved"]


async def test_another_host_is_tried_when_one_doesn_t_hold_the_source(engine: Engine) -> None:
    context = await engine.context()
    path = engine.source()
    elsewhere = await engine.second_host(source_roots=(str(engine.store),))
    import_id = await engine.queue(path=path, labels={"a": "b"})
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    tried = await engine.attempts(import_id)
    assert (row.state, row.proxy_host_id) == ("succeeded", engine.site.host_id)
    assert tried[-1].outcome == "succeeded"
    assert all(attempt.proxy_host_id == elsewhere for attempt in tried[:-1])


async def test_a_worker_that_dies_is_replaced_and_virt_v2v_is_started_once(engine: Engine) -> None:
    engine.virt_v2v.hold()
    first, second = await engine.context(), await engine.context()
    import_id = await engine.queue()
    async with engine.watching(first):
        await advance_import(first, import_id)
        await until(lambda: engine.virt_v2v.starts() == 1)
    await engine.bury(first)
    async with engine.watching(second):
        await advance_import(second, import_id)
        engine.virt_v2v.let_go()
        row = await engine.drive(second, import_id)
    assert (row.state, engine.virt_v2v.starts()) == ("succeeded", 1)


async def test_the_log_is_whole_after_watchers_come_and_go(engine: Engine) -> None:
    lines = [f"line {number}\n" for number in range(60)]
    engine.virt_v2v.plan([*CONVERSION[:2], *lines, *CONVERSION[2:]], pause_seconds=0.02)
    import_id = await engine.queue()
    contexts = [await engine.context() for _ in range(4)]
    await advance_import(contexts[0], import_id)
    for context in contexts[:-1]:
        async with engine.watching(context):
            await asyncio.sleep(0.4)
        await engine.bury(context)
    async with engine.watching(contexts[-1]):
        row = await engine.drive(contexts[-1], import_id)
    assert row.state == "succeeded"
    kept = (await engine.log(import_id)).decode().splitlines()
    assert [line for line in kept if line.startswith("line ")] == [line.strip() for line in lines]


async def test_an_unreachable_host_is_waited_for_and_clients_see_why(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.queue()
    await engine.set_host(port=1)
    await advance_import(context, import_id)
    row = await engine.site.row(import_id)
    assert row.state == "running"
    assert row.retry is not None
    assert row.troubled_since is not None
    await engine.set_host(port=engine.sshd.port)
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert (row.state, row.retry, row.troubles) == ("succeeded", None, 0)


async def test_another_host_takes_over_before_anything_is_made(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.queue()
    other = await engine.second_host()
    await engine.set_host(port=1)
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert (row.state, row.proxy_host_id) == ("succeeded", other)
    tried = await engine.attempts(import_id)
    assert [attempt.outcome for attempt in tried] == ["moved", "succeeded"]


async def test_a_host_that_stays_away_fails_the_import_in_the_end(engine: Engine) -> None:
    context = await engine.context(host_unreachable_limit_seconds=0.5)
    import_id = await engine.queue()
    await engine.set_host(port=1)
    row = await engine.drive(context, import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "host_unreachable")
    assert await _count(engine, Reservation) == [0]


async def test_what_can_t_be_undone_stays_on_record(engine: Engine) -> None:
    engine.virt_v2v.hold()
    context = await engine.context(host_unreachable_limit_seconds=0.5)
    import_id = await engine.queue()
    await advance_import(context, import_id)
    await engine.set_host(port=1)
    await engine.cancel(import_id)
    row = await engine.drive(context, import_id)
    assert (row.state, row.vm_id) == ("cancelled", None)
    assert await _count(engine, Vm, Disk, Reservation) == [0, 0, 0]
    assert (await _count(engine, Artifact))[0] > 0


async def test_a_forced_cancel_doesn_t_wait_for_a_host_that_is_away(engine: Engine) -> None:
    engine.virt_v2v.hold()
    context = await engine.context(host_unreachable_limit_seconds=3600)
    import_id = await engine.queue()
    await advance_import(context, import_id)
    await engine.set_host(port=1)
    await engine.cancel(import_id, force=True)
    await advance_import(context, import_id)
    assert (await engine.site.row(import_id)).state == "cancelled"


async def test_a_turn_that_takes_too_long_is_ended_and_after_some_the_import_fails(engine: Engine) -> None:
    context = await engine.context(turn_timeout_seconds=0.001, host_retry_seconds=0.01)
    import_id = await engine.queue()
    row = await engine.drive(context, import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "deadline_exceeded")


async def test_a_row_that_can_t_be_read_fails_the_import_rather_than_looping(engine: Engine) -> None:
    context = await engine.context(host_retry_seconds=0.01)
    import_id = await engine.queue()
    async with engine.database.session() as session:
        row = await imports.get_locked(session, import_id)
        row.spec = {**row.spec, "source": {"kind": "disk", "path": "not absolute"}}
    row = await engine.drive(context, import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "record_unreadable")


async def test_after_the_end_the_next_import_is_admitted_at_once(engine: Engine) -> None:
    await engine.set_host(max_concurrent_imports=1)
    context = await engine.context()
    first = await engine.queue()
    second = await engine.queue(path=engine.source("web-2.img"))
    assert (await engine.site.row(second)).state == "queued"
    async with engine.watching(context):
        await engine.drive(context, first)
    assert (await engine.site.row(second)).state == "running"


async def test_one_turn_at_a_time_even_when_many_are_asked_for(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.queue()
    async with engine.watching(context):
        await asyncio.gather(*(advance_import(context, import_id) for _ in range(8)))
        row = await engine.drive(context, import_id)
    assert (row.state, engine.virt_v2v.starts()) == ("succeeded", 1)


async def test_a_database_that_fails_in_turns_is_no_failure_of_the_import(engine: Engine) -> None:
    async def fail() -> None:
        raise OperationalError("SELECT 1", {}, OSError("the server is away"))

    context = await engine.context()
    import_id = await engine.queue()
    steps = with_act(StepName.VERIFY_OUTPUT, fail, "before_do", times=2 * MOST_TRIES)
    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=steps)
    assert (row.state, row.attempt) == ("succeeded", 1)
