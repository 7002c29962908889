"""Publishing: what isn't newer is refused, and nothing waits for a Redis that is gone."""

import time
from typing import Any
from uuid import UUID

import redis

from app.events.cursor import START, Cursor
from app.events.keys import newest
from app.events.publisher import Kept
from app.models.columns import now
from app.models.events import ProgressEvent
from app.models.progress import Progress
from tests.events.conftest import Stage
from tests.support.redis import RedisServer


async def told(stage: Stage) -> list[Any]:
    """Everything that was told until now."""
    listener = await stage.listen(cursor=str(Cursor((await stage.hub.feed.position()).epoch, START)))
    found = [await listener.next()]
    while found[-1].id != str((await stage.hub.feed.position()).cursor):
        found.append(await listener.next())
    return found


async def test_what_is_not_newer_is_told_once(stage: Stage, import_id: UUID) -> None:
    for version in (2, 1, 2, 3):
        await stage.change(import_id, version)
    for offset in (10, 10, 5, 11):
        await stage.say(import_id, offset, f"at {offset}")
    events = await told(stage)
    assert [event.data["version"] for event in events if event.name == "import"] == [2, 3]
    assert [event.data["text"] for event in events if event.name == "message"] == ["at 10", "at 11"]


async def test_progress_after_the_end_is_refused_until_the_next_attempt(
    stage: Stage, import_id: UUID
) -> None:
    await stage.change(import_id, 1)
    await stage.change(import_id, 2, ended=True)
    await stage.advance(import_id, 1)
    await stage.change(import_id, 3)
    await stage.advance(import_id, 2, attempt=2)
    assert [event.name for event in await told(stage)] == ["import", "import", "import", "progress"]


async def test_a_whole_import_is_never_told_with_older_progress(stage: Stage, import_id: UUID) -> None:
    shown = {"id": str(import_id), "progress": {"percent": 1.0}, "disk_progress": []}
    for version, kept, mark in ((1, None, (1, 3)), (2, 5, (1, 3)), (3, 6, (1, 9)), (4, 7, (2, 0))):
        if kept:
            await stage.advance(import_id, kept)
        await stage.events.publish_import(
            import_id, version=version, ended=False, labels={}, data=shown, progress_mark=mark
        )
    events = [event.data for event in await told(stage) if event.name == "import"]
    assert [event["progress"]["percent"] for event in events] == [1.0, 5.0, 1.0, 1.0]
    assert {event["id"] for event in events} == {str(import_id)}
    assert events[1]["disk_progress"] == []


async def test_the_newest_progress_is_kept_while_the_import_runs(stage: Stage, import_id: UUID) -> None:
    await stage.change(import_id, 4)
    await stage.advance(import_id, 1)
    await stage.advance(import_id, 2)
    kept = (await stage.events.kept([import_id]))[import_id]
    assert (kept.version, kept.progress and kept.progress.seq) == (4, 2)
    await stage.change(import_id, 5, ended=True)
    assert (await stage.events.kept([import_id]))[import_id].progress is None
    await stage.events.forget(import_id)
    assert (await stage.events.kept([import_id]))[import_id].version == 0


async def test_without_redis_nothing_is_raised_and_nobody_waits_long(
    stage: Stage, import_id: UUID, redis_server: RedisServer
) -> None:
    event = ProgressEvent(
        import_id=import_id, attempt=1, seq=1, at=now(), progress=Progress(), disk_progress=()
    )
    redis_server.stop()
    assert not await stage.events.publish_progress(event, labels={})
    assert await stage.events.kept([import_id]) == {}
    assert not await stage.events.ping()
    redis_server.start()
    redis_server.pause()
    began = time.monotonic()
    for _ in range(5):
        assert not await stage.events.publish_progress(event, labels={})
    assert time.monotonic() - began < 4
    redis_server.resume()


async def test_progress_that_can_t_be_read_is_as_good_as_none(
    stage: Stage, redis_server: RedisServer, import_id: UUID
) -> None:
    await stage.change(import_id, 4)
    with redis.Redis(unix_socket_path=str(redis_server.socket)) as client:
        client.hset(newest(import_id), "progress", '{"of": "a newer version"}')
    assert (await stage.events.kept([import_id]))[import_id] == Kept(4, None)
