"""Imports as clients see them, between the database and Redis."""

from collections.abc import AsyncIterator

import pytest

from app.actions.announce import announce
from app.actions.show_imports import SNAPSHOT_PAGE, show_import, show_page, snapshot
from app.db import Database
from app.errors import NotFoundError
from app.events import Events
from app.models.columns import new_id, now
from app.models.events import ProgressEvent
from app.models.imports import VmImport
from app.models.progress import Progress
from app.models.state import ImportState
from app.services import imports
from app.services.imports import ImportFilter
from tests.support.records import add_import
from tests.support.redis import RedisServer
from tests.support.rows import data_center, storage_domain


@pytest.fixture
async def events(redis_server: RedisServer) -> AsyncIterator[Events]:
    made = Events(redis_server.url, live_events=1000)
    yield made
    await made.close()


async def running(database: Database, **fields: object) -> VmImport:
    """An import that runs, at 10 percent as far as its row knows."""
    given = {"state": ImportState.RUNNING, "progress": Progress(percent=10), "progress_seq": 5} | fields
    async with database.session() as session:
        return await add_import(
            session, await storage_domain(session, (await data_center(session)).id), **given
        )


async def advance(events: Events, row: VmImport, percent: float, *, seq: int, attempt: int = 1) -> None:
    progress = Progress(percent=percent)
    event = ProgressEvent(
        import_id=row.id, attempt=attempt, seq=seq, at=now(), progress=progress, disk_progress=()
    )
    assert await events.publish_progress(event, labels={})


async def percents(database: Database, events: Events) -> list[float | None]:
    """What is shown alone, in a list and in a snapshot."""
    (one,) = await show_page(database, events, ImportFilter(), before=None, limit=10)
    ((shown,),) = [page async for page in snapshot(database, events, ImportFilter())]
    alone = await show_import(database, events, one.id)
    assert f'"percent":{one.progress.percent}' in shown.data
    return [alone.progress.percent, one.progress.percent]


async def test_newer_progress_in_redis_is_shown(database: Database, events: Events) -> None:
    row = await running(database)
    await advance(events, row, 20, seq=6)
    assert await percents(database, events) == [20, 20]


async def test_older_progress_in_redis_is_not(database: Database, events: Events) -> None:
    row = await running(database)
    await advance(events, row, 5, seq=4)
    assert await percents(database, events) == [10, 10]


async def test_progress_of_another_attempt_is_not(database: Database, events: Events) -> None:
    row = await running(database, attempt=2)
    await advance(events, row, 99, seq=100, attempt=1)
    assert await percents(database, events) == [10, 10]


async def test_an_ended_import_is_shown_as_its_row_has_it(database: Database, events: Events) -> None:
    row = await running(database, state=ImportState.FAILED)
    await advance(events, row, 20, seq=6)
    assert await percents(database, events) == [10, 10]


async def test_without_redis_the_row_is_shown(
    database: Database, events: Events, redis_server: RedisServer
) -> None:
    await running(database)
    redis_server.stop()
    assert await percents(database, events) == [10, 10]


async def test_an_unknown_import_is_not_found(database: Database, events: Events) -> None:
    with pytest.raises(NotFoundError):
        await show_import(database, events, new_id())


async def test_a_wide_snapshot_shows_every_import_once(database: Database, events: Events) -> None:
    async with database.session() as session:
        domain = await storage_domain(session, (await data_center(session)).id)
        made = [await add_import(session, domain) for _ in range(SNAPSHOT_PAGE + 1)]
    pages = [page async for page in snapshot(database, events, ImportFilter())]
    assert [len(page) for page in pages] == [SNAPSHOT_PAGE, 1]
    assert [shown.import_id for page in pages for shown in page] == [row.id for row in reversed(made)]


async def test_a_snapshot_knows_what_redis_was_told(database: Database, events: Events) -> None:
    row = await running(database)
    ((untold,),) = [page async for page in snapshot(database, events, ImportFilter())]
    await announce(database, events, row.id)
    ((told,),) = [page async for page in snapshot(database, events, ImportFilter())]
    assert (untold.told, told.told) == (False, True)


async def test_what_was_announced_is_noted_and_what_could_not_be_is_left_for_later(
    database: Database, events: Events, redis_server: RedisServer
) -> None:
    row = await running(database)
    redis_server.stop()
    await announce(database, events, row.id)
    async with database.reading() as session:
        assert await imports.untold(session) == [row.id]
    redis_server.start()
    await announce(database, events, row.id)
    async with database.reading() as session:
        assert await imports.untold(session) == []


async def test_an_import_that_is_gone_is_not_announced(database: Database, events: Events) -> None:
    await announce(database, events, new_id())
