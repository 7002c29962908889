"""Room: bytes are held by those who run, and kept for those who have waited for too long."""

from datetime import timedelta
from uuid import UUID

import pytest

from app.db import Database
from app.models.attempts import Attempt
from app.models.columns import now
from app.services import attempts, room
from app.services.room import Room
from app.services.waiting import OVERTAKEN_SECONDS
from tests.support.rows import GIB, Site, up


@pytest.fixture
async def site(database: Database) -> Site:
    return await Site(database).build()


async def _running(site: Site) -> UUID:
    """The attempt of an import that was admitted."""
    import_id = await site.queue(path=f"/srv/{len(await site.admit())}.img")
    await site.admit()
    return (await site.attempt(import_id)).id


async def _ask(site: Site, attempt_id: UUID, work: int, target: int) -> Room:
    async with site.database.session() as session:
        return await room.ask(session, attempt_id, Room(work, target))


async def _wait(site: Site, attempt_id: UUID, work: int, target: int, *, seconds: float = 0) -> None:
    """It has waited for so much, so long."""
    async with site.database.session() as session:
        await room.wait(session, attempt_id, Room(work, target))
        attempt = await session.get_one(Attempt, attempt_id)
        since = (now() - timedelta(seconds=seconds)).isoformat()
        attempts.learn(attempt, **{room.FACT: {**attempt.facts[room.FACT], "since": since}})


async def test_bytes_that_others_hold_are_told(site: Site) -> None:
    one, two = await _running(site), await _running(site)
    await _ask(site, one, 5 * GIB, 7 * GIB)
    assert await _ask(site, two, GIB, GIB) == Room(5 * GIB, 7 * GIB)


async def test_what_waits_holds_nothing_so_that_two_never_wait_for_each_other(site: Site) -> None:
    one, two = await _running(site), await _running(site)
    await _wait(site, one, 98 * GIB, 0)
    await _wait(site, two, 98 * GIB, 0)
    assert await _ask(site, one, 98 * GIB, 0) == Room(0, 0)


async def test_what_has_waited_for_too_long_is_overtaken_no_more(site: Site) -> None:
    patient, newcomer = await _running(site), await _running(site)
    await _wait(site, patient, 90 * GIB, 50 * GIB, seconds=OVERTAKEN_SECONDS - 60)
    assert await _ask(site, newcomer, GIB, GIB) == Room(0, 0)
    await _wait(site, patient, 90 * GIB, 50 * GIB, seconds=OVERTAKEN_SECONDS + 1)
    assert await _ask(site, newcomer, GIB, GIB) == Room(90 * GIB, 50 * GIB)
    assert await _ask(site, patient, 90 * GIB, 50 * GIB) == Room(GIB, GIB)


async def test_of_two_that_have_waited_for_too_long_the_first_goes_first(site: Site) -> None:
    first, second = await _running(site), await _running(site)
    await _wait(site, first, 90 * GIB, 0, seconds=OVERTAKEN_SECONDS + 20)
    await _wait(site, second, 80 * GIB, 0, seconds=OVERTAKEN_SECONDS + 10)
    assert await _ask(site, first, 90 * GIB, 0) == Room(0, 0)
    await _wait(site, first, 90 * GIB, 0, seconds=OVERTAKEN_SECONDS + 20)
    assert await _ask(site, second, 80 * GIB, 0) == Room(90 * GIB, 0)


async def test_waiting_again_keeps_the_place_in_the_line(site: Site) -> None:
    attempt_id = await _running(site)
    await _wait(site, attempt_id, GIB, 0, seconds=100)
    async with site.database.session() as session:
        await room.wait(session, attempt_id, Room(2 * GIB, 0))
        line = (await session.get_one(Attempt, attempt_id)).facts[room.FACT]
    assert line["work_bytes"] == 2 * GIB
    assert line["since"] < (now() - timedelta(seconds=99)).isoformat()


async def test_a_domain_s_bytes_count_across_hosts_and_a_host_s_own_don_t(site: Site) -> None:
    other = await site.host(name="proxy-2", status=up(free_bytes=200 * GIB))
    one, two = await _running(site), await _running(site)
    async with site.database.reading() as session:
        hosts = {(await session.get_one(Attempt, attempt_id)).proxy_host_id for attempt_id in (one, two)}
    assert hosts == {site.host_id, other}
    await _ask(site, one, 5 * GIB, 7 * GIB)
    assert await _ask(site, two, GIB, GIB) == Room(0, 7 * GIB)


async def test_an_attempt_that_is_over_holds_and_waits_for_nothing(site: Site) -> None:
    one, two = await _running(site), await _running(site)
    await _wait(site, one, 90 * GIB, 0, seconds=OVERTAKEN_SECONDS + 1)
    async with site.database.session() as session:
        await attempts.end(session, await session.get_one(Attempt, one), attempts.Outcome.CANCELLED)
    assert await _ask(site, two, GIB, 0) == Room(0, 0)
    assert await _ask(site, one, GIB, 0) == Room(0, 0)
    async with site.database.session() as session:
        await room.wait(session, one, Room(1, 1))
        assert (await session.get_one(Attempt, one)).facts[room.FACT]["work_bytes"] == 90 * GIB
