"""Attempts that are made without being asked for: after what can go away by itself, and only so often."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from app.errors import ConversionLostError
from app.jobs.advance_import import advance_import
from app.jobs.context import Context
from app.jobs.trouble import turn_back
from app.models.attempts import Artifact, Reservation
from app.models.columns import now
from app.models.imports import VmImport
from app.models.proxy_hosts import HostState, HostStatus
from app.models.state import ENDED
from app.models.vms import Disk, Vm
from app.services import attempts, imports, timeline
from app.services.specs import VmImportPublic
from tests.support.engine import Engine
from tests.support.images import make_backed
from tests.support.tiny_virt_v2v import CONVERSION, message
from tests.support.waiting import until

ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
BROKEN = message("error", "nbdkit: curl[1]: error: Recv failure: Connection reset by peer")
REFUSED = message("error", "vcenter: incorrect username or password")
NEVER = 300.0


def _fails(engine: Engine, error: str = BROKEN) -> None:
    engine.virt_v2v.plan([*CONVERSION[:5], error], last_lines=(), exit_code=1)


async def _until_it_waits(engine: Engine, context: Context, import_id: UUID) -> VmImport:
    """Turns until the import is between two attempts."""
    async with asyncio.timeout(60):
        while (row := await engine.site.row(import_id)).next_attempt_at is None:
            assert row.state not in ENDED, row.problem
            await advance_import(context, import_id)
            await asyncio.sleep(0.05)
    return row


async def _shown(engine: Engine, import_id: UUID) -> VmImportPublic:
    async with engine.database.reading() as session:
        return await imports.public(session, await imports.get(session, import_id))


async def _nothing_is_held(engine: Engine) -> bool:
    async with engine.database.reading() as session:
        found = [
            (await session.execute(select(table))).first() for table in (Vm, Disk, Artifact, Reservation)
        ]
    return not any(found) and engine.left_on_the_host() == []


def _kill_with_its_supervisor(engine: Engine) -> None:
    """As a reboot or the kernel would: nobody is left to write an exit code."""
    pid = engine.virt_v2v.process_ids()[-1]
    supervisor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    for one in (supervisor, pid):
        os.kill(one, signal.SIGKILL)


async def test_what_was_killed_with_its_supervisor_is_undone_and_done_once_more(engine: Engine) -> None:
    engine.virt_v2v.hold()
    context = await engine.context(automatic_retry_seconds=0.1)
    import_id = await engine.queue()
    async with engine.watching(context):
        await advance_import(context, import_id)
        await until(lambda: engine.virt_v2v.starts() == 1)
        _kill_with_its_supervisor(engine)
        engine.virt_v2v.let_go()
        row = await engine.drive(context, import_id)
    assert (row.state, row.problem, row.retry, row.attempt) == ("succeeded", None, None, 2)
    assert engine.virt_v2v.starts() == 2
    shown = await _shown(engine, import_id)
    told = [(one.outcome, one.problem and one.problem.code) for one in shown.attempts]
    assert told == [("failed", "conversion_lost"), ("succeeded", None)]
    assert len(engine.left_on_the_host()) == 3, "the VM's directory, its disk and its metadata"


@ONE_DATABASE
async def test_between_two_attempts_an_import_runs_holds_nothing_and_says_what_it_waits_for(
    engine: Engine,
) -> None:
    _fails(engine)
    context = await engine.context(automatic_retry_seconds=NEVER)
    import_id = await engine.queue(keep_on_failure=True)
    async with engine.watching(context):
        await _until_it_waits(engine, context, import_id)
    shown = await _shown(engine, import_id)
    assert (shown.state, shown.attempt, shown.step, shown.problem) == ("running", 2, None, None)
    assert shown.retry is not None
    assert shown.retry.at > now()
    assert "Connection reset by peer" in shown.retry.reason
    assert [one.outcome for one in shown.attempts] == ["failed"]
    assert await _nothing_is_held(engine)
    async with engine.database.reading() as session:
        entries = await timeline.page(session, import_id, after=None, limit=100)
    assert [entry.kind for entry in entries][-2:] == ["step_failed", "retry_scheduled"]


@ONE_DATABASE
async def test_a_cancel_between_two_attempts_ends_it_at_once(engine: Engine) -> None:
    _fails(engine)
    context = await engine.context(automatic_retry_seconds=NEVER)
    import_id = await engine.queue()
    async with engine.watching(context):
        await _until_it_waits(engine, context, import_id)
    await engine.cancel(import_id)
    row = await engine.site.row(import_id)
    assert (row.state, row.retry, row.next_attempt_at) == ("cancelled", None, None)


@ONE_DATABASE
async def test_after_so_many_attempts_it_has_failed_and_who_asks_gets_as_many_again(engine: Engine) -> None:
    _fails(engine)
    context = await engine.context(automatic_retry_seconds=0.05, automatic_retries=1)
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
        assert row.problem is not None
        assert (row.state, row.problem.code, engine.virt_v2v.starts()) == ("failed", "source_unreachable", 2)
        assert await _nothing_is_held(engine)
        await engine.retry(import_id)
        row = await engine.drive(context, import_id)
    assert (row.state, row.attempt, engine.virt_v2v.starts()) == ("failed", 4, 4)


@ONE_DATABASE
async def test_each_wait_is_twice_as_long_as_the_one_before(engine: Engine) -> None:
    _fails(engine)
    context = await engine.context(automatic_retry_seconds=100)
    import_id = await engine.queue()
    async with engine.watching(context):
        for number in range(2):
            row = await _until_it_waits(engine, context, import_id)
            assert row.next_attempt_at is not None
            waits = (row.next_attempt_at - now()).total_seconds()
            assert 100 * 2**number - 60 < waits <= 100 * 2**number
            async with engine.database.session() as session:
                (await imports.get_locked(session, import_id)).next_attempt_at = now()
            await context.admit()


@ONE_DATABASE
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (REFUSED, "source_login_failed"),
        (message("error", "libguestfs error: /out/vm-sda: No space left on device"), "host_no_space"),
        (message("error", "inspection could not detect the source guest"), "no_os_found"),
    ],
)
async def test_what_does_not_go_away_is_not_tried_again(engine: Engine, error: str, code: str) -> None:
    _fails(engine, error)
    context = await engine.context(automatic_retry_seconds=0.05)
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code, engine.virt_v2v.starts()) == ("failed", code, 1)


@ONE_DATABASE
async def test_only_the_last_attempt_is_kept_on_failure(engine: Engine) -> None:
    engine.virt_v2v.plan([*CONVERSION, BROKEN], last_lines=(), exit_code=1)
    context = await engine.context(automatic_retry_seconds=0.05, automatic_retries=1)
    import_id = await engine.queue(keep_on_failure=True)
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert (row.state, row.attempt) == ("failed", 2)
    last = await engine.site.attempt(import_id)
    assert [path.name[-8:] for path in engine.store.iterdir()] == [last.id.hex[-8:]]


@ONE_DATABASE
async def test_another_host_is_chosen_when_the_first_one_is_gone_by_then(engine: Engine) -> None:
    _fails(engine)
    context = await engine.context(automatic_retry_seconds=1.0)
    import_id = await engine.queue()
    async with engine.watching(context):
        await _until_it_waits(engine, context, import_id)
        other = await engine.second_host()
        await engine.set_host(status=HostStatus(state=HostState.UNREACHABLE))
        engine.virt_v2v.plan()
        row = await engine.drive(context, import_id)
    assert (row.state, row.proxy_host_id) == ("succeeded", other)


async def test_the_next_attempt_waits_for_a_place_like_any_import(engine: Engine) -> None:
    await engine.set_host(max_concurrent_imports=1)
    _fails(engine)
    context = await engine.context(automatic_retry_seconds=0.05)
    first = await engine.queue()
    async with engine.watching(context):
        await _until_it_waits(engine, context, first)
        engine.virt_v2v.plan()
        engine.virt_v2v.hold()
        second = await engine.queue(path=engine.source("web-2.img"), priority=9)
        await advance_import(context, second)

        async def says_why() -> bool:
            await context.admit()
            shown = await _shown(engine, first)
            return shown.retry is not None and "as many as it takes" in shown.retry.reason

        await until(says_why)
        assert (await engine.site.row(first)).state == "running"
        engine.virt_v2v.let_go()
        assert (await engine.drive(context, second)).state == "succeeded"
        assert (await engine.drive(context, first)).state == "succeeded"


@ONE_DATABASE
async def test_no_other_attempt_begins_while_the_last_one_can_not_be_undone(engine: Engine) -> None:
    engine.virt_v2v.hold()
    context = await engine.context(automatic_retry_seconds=0.05)
    import_id = await engine.queue()
    async with engine.watching(context):
        await advance_import(context, import_id)
        await until(lambda: engine.virt_v2v.starts() == 1)
        await engine.set_host(port=1)
        async with engine.database.session() as session:
            row = await imports.get_locked(session, import_id)
            await turn_back(session, row, ConversionLostError().to_problem(), again=True)
        for _ in range(3):
            await advance_import(context, import_id)
        shown = await _shown(engine, import_id)
        assert (shown.state, shown.attempt, engine.virt_v2v.starts()) == ("running", 1, 1)
        assert shown.retry is not None
        await engine.set_host(port=engine.sshd.port)
        engine.virt_v2v.let_go()
        row = await engine.drive(context, import_id)
    assert (row.state, row.attempt, engine.virt_v2v.starts()) == ("succeeded", 2, 2)


@ONE_DATABASE
async def test_a_retry_never_begins_while_the_old_copy_may_run(engine: Engine) -> None:
    engine.virt_v2v.hold()
    context = await engine.context(host_unreachable_limit_seconds=0.5)
    import_id = await engine.queue()
    await advance_import(context, import_id)
    await until(lambda: engine.virt_v2v.starts() == 1)
    await engine.set_host(port=1)
    await engine.cancel(import_id)
    assert (await engine.drive(context, import_id)).state == "cancelled"
    await engine.retry(import_id)
    await advance_import(context, import_id)
    assert (await _shown(engine, import_id)).retry is not None
    row = await engine.drive(context, import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code, engine.virt_v2v.starts()) == ("failed", "host_unreachable", 1)
    await engine.set_host(port=engine.sshd.port)
    await engine.retry(import_id)
    engine.virt_v2v.let_go()
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert (row.state, engine.virt_v2v.starts()) == ("succeeded", 2)
    assert len(engine.left_on_the_host()) == 3, "the VM's directory, its disk and its metadata"


@ONE_DATABASE
@pytest.mark.parametrize(("change", "code"), [("gone", "source_not_found"), ("unsafe", "unsafe_image")])
async def test_a_retry_of_what_has_changed_at_the_source_says_so(
    engine: Engine, change: str, code: str
) -> None:
    _fails(engine, REFUSED)
    context = await engine.context()
    path = Path(engine.source())
    import_id = await engine.queue(path=str(path), proxy_host_id=str(engine.site.host_id))
    async with engine.watching(context):
        assert (await engine.drive(context, import_id)).state == "failed"
        make_backed(path, "/etc/passwd") if change == "unsafe" else path.unlink()  # noqa: ASYNC240
        await engine.retry(import_id)
        row = await engine.drive(context, import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code, engine.virt_v2v.starts()) == ("failed", code, 1)
    assert await _nothing_is_held(engine)


@ONE_DATABASE
@pytest.mark.parametrize(
    ("conversion", "code"),
    [({"stall_limit_seconds": 1}, "stalled"), ({"time_limit_seconds": 1}, "time_limit_exceeded")],
)
async def test_what_goes_beyond_its_limit_is_ended_and_undone(
    engine: Engine, conversion: dict[str, int], code: str
) -> None:
    engine.virt_v2v.hold()
    context = await engine.context(stall_limit_seconds=NEVER)
    import_id = await engine.queue(conversion=conversion)
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code, engine.virt_v2v.starts()) == ("failed", code, 1)
    assert await _nothing_is_held(engine)


@ONE_DATABASE
async def test_what_has_succeeded_before_its_limit_was_looked_at_has_succeeded(engine: Engine) -> None:
    engine.virt_v2v.hold()
    context = await engine.context()
    import_id = await engine.queue(conversion={"time_limit_seconds": 1})
    await advance_import(context, import_id)
    await until(lambda: engine.virt_v2v.starts() == 1)
    engine.virt_v2v.let_go()
    [pid] = engine.virt_v2v.process_ids()
    await until(lambda: not Path(f"/proc/{pid}").exists())
    async with engine.database.session() as session:
        attempt = await attempts.fresh(session, (await engine.site.attempt(import_id)).id)
        long_ago = (now() - timedelta(hours=1)).isoformat()
        attempts.learn(attempt, launched={**attempt.facts["launched"], "at": long_ago})
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert row.state == "succeeded"
