"""Turns: one at a time, fenced, and no call is lost."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from app.db import Database
from app.errors import FencedError
from app.models.columns import now
from app.models.imports import Direction, VmImport
from app.models.state import ImportState
from app.services import imports, turns
from tests.support.rows import Site

WORKER, OTHER = UUID(int=1), UUID(int=2)


@pytest.fixture
async def site(database: Database) -> Site:
    return await Site(database).build()


@pytest.fixture
async def running(site: Site) -> UUID:
    """An import that was admitted; no turn of it runs."""
    import_id = await site.queue()
    await site.admit()
    return import_id


async def _claim(site: Site, import_id: UUID, worker_id: UUID = WORKER) -> VmImport | None:
    async with site.database.session() as session:
        return await turns.claim(session, import_id, worker_id)


async def test_a_claim_begins_the_next_turn(site: Site, running: UUID) -> None:
    row = await _claim(site, running)
    assert row is not None
    assert (row.turn, row.worker_id, row.wake_at) == (1, WORKER, None)


async def test_while_a_turn_runs_nobody_gets_another_and_the_call_is_kept(site: Site, running: UUID) -> None:
    row = await _claim(site, running)
    assert row is not None
    assert await _claim(site, running, OTHER) is None
    async with site.database.session() as session:
        assert await turns.release(session, running, 1, seen_wakes=row.wakes, next_at=None)
    async with site.database.reading() as session:
        assert await turns.is_any_due(session)


async def test_a_turn_without_calls_ends_quietly(site: Site, running: UUID) -> None:
    row = await _claim(site, running)
    assert row is not None
    later = now() + timedelta(seconds=60)
    async with site.database.session() as session:
        assert not await turns.release(session, running, 1, seen_wakes=row.wakes, next_at=later)
    assert (await site.row(running)).wake_at == later


async def test_an_older_turn_can_save_nothing(site: Site, running: UUID) -> None:
    await _claim(site, running)
    async with site.database.session() as session:
        await turns.give_up(session, running, 1, WORKER)
    await _claim(site, running, OTHER)
    with pytest.raises(FencedError):
        async with site.database.session() as session:
            await turns.held(session, running, 1)


async def test_a_turn_whose_claim_was_freed_can_save_nothing(site: Site, running: UUID) -> None:
    await _claim(site, running)
    async with site.database.session() as session:
        await turns.give_up(session, running, 1, WORKER)
    with pytest.raises(FencedError):
        async with site.database.session() as session:
            await turns.held(session, running, 1)


async def test_one_worker_can_t_give_up_another_s_turn(site: Site, running: UUID) -> None:
    await _claim(site, running)
    async with site.database.session() as session:
        await turns.give_up(session, running, 1, OTHER)
        assert await turns.claimed_by(session, WORKER) == [(running, 1)]


async def test_an_import_that_waits_or_has_ended_or_is_gone_has_no_turn(site: Site) -> None:
    waiting = await site.queue()
    assert await _claim(site, waiting) is None
    async with site.database.session() as session:
        await imports.cancel(session, await imports.get(session, waiting), force=False)
    assert await _claim(site, waiting) is None
    assert await _claim(site, uuid4()) is None


async def test_a_queued_import_that_has_to_clean_up_first_has_turns(site: Site) -> None:
    import_id = await site.queue()
    async with site.database.session() as session:
        (await imports.get(session, import_id)).direction = Direction.BACK
    assert await _claim(site, import_id) is not None


async def test_what_is_due_is_taken_once_and_again_when_nobody_claimed_it(site: Site, running: UUID) -> None:
    async with site.database.session() as session:
        assert await turns.take_due(session, limit=10, again_after_seconds=60) == [running]
        assert await turns.take_due(session, limit=10, again_after_seconds=-1) == []
    async with site.database.session() as session:
        (await imports.get(session, running)).wake_at = now()
    async with site.database.session() as session:
        assert await turns.take_due(session, limit=10, again_after_seconds=-1) == [running]
        assert await turns.take_due(session, limit=10, again_after_seconds=60) == [running]


async def test_what_waits_for_admission_is_not_due(site: Site) -> None:
    await site.queue()
    async with site.database.session() as session:
        assert not await turns.is_any_due(session)
        assert await turns.take_due(session, limit=10, again_after_seconds=60) == []


async def test_a_call_for_an_ended_import_does_nothing(site: Site) -> None:
    import_id = await site.queue()
    async with site.database.session() as session:
        row = await imports.get(session, import_id)
        await imports.cancel(session, row, force=False)
        await turns.call(session, import_id)
        assert (row.state, row.wake_at) == (ImportState.CANCELLED, None)


async def test_a_turn_put_off_by_a_clock_that_was_wrong_is_due(site: Site, running: UUID) -> None:
    async with site.database.session() as session:
        (await session.get_one(VmImport, running)).wake_at = now() + timedelta(hours=1)
    async with site.database.session() as session:
        assert await turns.take_due(session, limit=10, again_after_seconds=60) == [running]
        assert await turns.take_due(session, limit=10, again_after_seconds=60) == []
