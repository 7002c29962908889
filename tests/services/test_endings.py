"""Ends without undoing: a forced cancel doesn't wait for what is out of reach."""

from uuid import UUID

import pytest
from sqlalchemy import select

from app.db import Database
from app.errors import FencedError, ImportEndedError
from app.models.attempts import Artifact, Reservation
from app.models.columns import now
from app.models.imports import VmImport
from app.models.proxy_hosts import HostState, ProxyHost
from app.services import attempts, endings, imports, timeline, turns
from tests.support.rows import Site, up

WORKER = UUID(int=1)


@pytest.fixture
async def site(database: Database) -> Site:
    return await Site(database).build()


@pytest.fixture
async def running(site: Site) -> UUID:
    """An import that has recorded what it makes."""
    import_id = await site.queue()
    await site.admit()
    async with site.database.session() as session:
        attempt = await attempts.current(session, await imports.get(session, import_id))
        assert attempt is not None
        await attempts.record(session, attempt, "attempt", {})
    return import_id


async def _force(site: Site, import_id: UUID) -> VmImport:
    async with site.database.session() as session:
        row = await imports.get_locked(session, import_id)
        await endings.cancel_by_force(session, row)
    return row


async def _assert_left_behind(site: Site, row: VmImport) -> None:
    """It has ended, holds no slot, and what it made is on record."""
    assert (row.state, row.problem, row.wake_at, row.worker_id) == ("cancelled", None, None, None)
    async with site.database.reading() as session:
        kinds = [entry.kind for entry in await timeline.page(session, row.id, after=None, limit=10)]
        assert kinds == ["created", "admitted", "cancel_requested", "left_behind", "cancelled"]
        assert (await session.execute(select(Reservation))).all() == []
        assert len((await session.execute(select(Artifact))).all()) == 1
    assert (await site.attempt(row.id)).outcome == "cancelled"


async def test_force_gives_the_undoing_one_try_when_nothing_speaks_against_it(
    site: Site, running: UUID
) -> None:
    row = await _force(site, running)
    assert (row.state, row.force_cancel) == ("cancelling", True)


async def test_force_ends_at_once_what_waits_for_its_host(site: Site, running: UUID) -> None:
    async with site.database.session() as session:
        (await imports.get(session, running)).troubled_since = now()
    await _assert_left_behind(site, await _force(site, running))


async def test_force_ends_at_once_what_is_on_a_host_that_is_known_to_be_away(
    site: Site, running: UUID
) -> None:
    async with site.database.session() as session:
        host = await session.get_one(ProxyHost, site.host_id)
        host.status = up(state=HostState.UNREACHABLE)
    await _assert_left_behind(site, await _force(site, running))


async def test_force_ends_at_once_what_is_cancelling_already(site: Site, running: UUID) -> None:
    async with site.database.session() as session:
        await imports.cancel(session, await imports.get_locked(session, running))
    await _assert_left_behind(site, await _force(site, running))


async def test_a_turn_that_runs_when_an_import_is_ended_by_force_can_save_nothing_more(
    site: Site, running: UUID
) -> None:
    async with site.database.session() as session:
        claimed = await turns.claim(session, running, WORKER)
        assert claimed is not None
        await imports.cancel(session, claimed)
    await _assert_left_behind(site, await _force(site, running))
    async with site.database.session() as session:
        with pytest.raises(FencedError):
            await turns.held(session, running, claimed.turn)


async def test_force_twice_is_fine_and_after_another_end_it_is_not(site: Site, running: UUID) -> None:
    await _force(site, running)
    await _force(site, running)
    assert (await _force(site, running)).state == "cancelled"
    failed = await site.queue(path="/srv/2.img")
    async with site.database.session() as session:
        await imports.end(session, await imports.get_locked(session, failed), imports.ImportState.FAILED)
    with pytest.raises(ImportEndedError):
        await _force(site, failed)


async def test_a_retry_after_a_forced_cancel_first_clears_what_was_left(site: Site, running: UUID) -> None:
    await _force(site, running)
    await _force(site, running)
    async with site.database.session() as session:
        row = await imports.get_locked(session, running)
        await imports.retry(session, row, imports.ImportRetry())
    assert (row.state, row.direction, row.attempt) == ("queued", "back", 2)
