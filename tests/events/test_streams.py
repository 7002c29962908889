"""Cursors, snapshots and what follows them, on a real Redis."""

import asyncio
from uuid import UUID, uuid4

import pytest

from app.events.cursor import Cursor
from app.models.events import EventType
from tests.events.conftest import Stage
from tests.support.redis import RedisServer


async def test_without_a_cursor_a_snapshot_comes_first_and_then_what_happens(
    stage: Stage, import_id: UUID
) -> None:
    await stage.change(import_id, 1)
    listener = await stage.listen()
    snapshot = await listener.next()
    await stage.change(import_id, 2)
    await stage.advance(import_id, 1)
    assert snapshot.name == "snapshot"
    assert snapshot.data == {"imports": [{"id": str(import_id), "version": 1}], "complete": True}
    assert [(await listener.next()).name for _ in range(2)] == ["import", "progress"]
    assert listener.reader.retry is not None


async def test_a_snapshot_of_nothing_is_complete_too(stage: Stage) -> None:
    assert (await (await stage.listen()).next()).data == {"imports": [], "complete": True}


async def test_a_wide_snapshot_comes_in_frames_and_the_last_says_so(stage: Stage) -> None:
    for _ in range(5):
        await stage.change(uuid4(), 1)
    listener = await stage.listen()
    frames = [await listener.next() for _ in range(3)]
    assert [len(frame.data["imports"]) for frame in frames] == [2, 2, 1]
    assert [frame.data["complete"] for frame in frames] == [False, False, True]


async def test_a_client_that_got_half_a_snapshot_gets_the_whole_again(stage: Stage) -> None:
    for _ in range(3):
        await stage.change(uuid4(), 1)
    half = await (await stage.listen()).next()
    listener = await stage.listen(cursor=half.id)
    resync = await listener.next()
    assert resync.name == "resync"
    again = await stage.listen(cursor=resync.id)
    assert [(await again.next()).name for _ in range(3)] == ["resync", "snapshot", "snapshot"]


async def test_nothing_older_than_the_snapshot_follows_it(stage: Stage, import_id: UUID) -> None:
    # Version 2 is committed and in the snapshot, but told only after it.
    await stage.change(import_id, 1)
    await stage.change(import_id, 2, told=False)
    listener = await stage.listen()
    assert (await listener.next()).data["imports"][0]["version"] == 2
    await stage.publish(import_id, 2, ended=False, labels={}, data={"version": 2})
    await stage.change(import_id, 3)
    assert (await listener.next()).data["version"] == 3


async def test_with_a_cursor_what_was_missed_comes_once_each_and_in_order(
    stage: Stage, import_id: UUID
) -> None:
    first, cursor = await stage.begin()
    await stage.change(import_id, 1)
    for seq in range(1, 20):
        await stage.advance(import_id, seq)
    listener = await stage.listen(cursor=cursor)
    told = [await listener.next() for _ in range(20)]
    await stage.change(import_id, 2)
    told.append(await listener.next())
    assert [event.name for event in told] == ["import", *["progress"] * 19, "import"]
    assert [event.data["seq"] for event in told[1:-1]] == list(range(1, 20))
    assert [event.id for event in told] == [(await first.next()).id for _ in range(21)]


async def test_a_client_that_comes_back_all_the_time_misses_nothing(stage: Stage, import_id: UUID) -> None:
    _, cursor = await stage.begin()

    async def publish() -> None:
        for seq in range(1, 101):
            await stage.advance(import_id, seq)

    publishing = asyncio.create_task(publish())
    seen: list[int] = []
    while len(seen) < 100:
        listener = await stage.listen(cursor=cursor)
        told = [await listener.next() for _ in range(min(7, 100 - len(seen)))]
        seen += [event.data["seq"] for event in told]
        cursor = told[-1].id
    await publishing
    assert seen == list(range(1, 101))


async def test_events_are_filtered_by_type_label_and_import(stage: Stage, import_id: UUID) -> None:
    other = uuid4()
    typed = await stage.listen(types=frozenset({EventType.MESSAGE}))
    labelled = await stage.listen(labels=(("team", "a"), ("tier", "1")))
    single = await stage.listen(import_ids=frozenset({other}))
    for listener in (typed, labelled, single):
        assert (await listener.next()).name == "snapshot"
    await stage.change(import_id, 1, team="a")
    await stage.change(other, 1, team="a", tier="1")
    await stage.say(import_id, 0, "hello")
    assert (await typed.next()).data["text"] == "hello"
    assert (await labelled.next()).data["id"] == str(other)
    assert (await single.next()).data["id"] == str(other)


@pytest.mark.parametrize("live_events", [10])
async def test_a_trimmed_cursor_makes_a_resync_and_a_snapshot(
    stage: Stage, import_id: UUID, live_events: int
) -> None:
    _, cursor = await stage.begin()
    # Redis trims whole nodes of its stream.
    for seq in range(1, 400):
        await stage.advance(import_id, seq)
    listener = await stage.listen(cursor=cursor)
    assert [(await listener.next()).name for _ in range(2)] == ["resync", "snapshot"]
    await stage.advance(import_id, 400)
    assert (await listener.next()).data["seq"] == 400


@pytest.mark.parametrize("live_events", [10])
async def test_one_imports_stream_goes_on_though_the_live_stream_was_trimmed(
    stage: Stage, import_id: UUID, live_events: int
) -> None:
    await stage.change(import_id, 1)
    cursor = (await (await stage.listen(only=import_id)).next()).id
    await stage.change(import_id, 2)
    busy = uuid4()
    for seq in range(1, 400):
        await stage.advance(busy, seq)
    listener = await stage.listen(cursor=cursor, only=import_id)
    assert (await listener.next()).data["version"] == 2


async def test_a_cursor_of_another_redis_makes_a_resync(
    stage: Stage, import_id: UUID, redis_server: RedisServer
) -> None:
    await stage.change(import_id, 1)
    _, cursor = await stage.begin()
    redis_server.flush()
    listener = await stage.listen(cursor=cursor)
    assert [(await listener.next()).name for _ in range(2)] == ["resync", "snapshot"]


async def test_a_cursor_from_the_future_makes_a_resync(stage: Stage, import_id: UUID) -> None:
    await stage.change(import_id, 1)
    _, text = await stage.begin()
    cursor = Cursor.parse(text)
    future = str(Cursor(cursor.epoch, cursor.event_id._replace(n=cursor.event_id.n + 1)))
    listener = await stage.listen(cursor=future)
    assert [(await listener.next()).name for _ in range(2)] == ["resync", "snapshot"]


async def test_one_imports_stream_ends_with_its_end_and_needs_no_more(stage: Stage, import_id: UUID) -> None:
    await stage.change(import_id, 1)
    listener = await stage.listen(only=import_id)
    snapshot = await listener.next()
    await stage.change(uuid4(), 1)
    await stage.change(import_id, 2, ended=True)
    (last,) = await listener.rest()
    assert last.data["version"] == 2
    assert await stage.is_over(cursor=last.id, only=import_id)
    assert not await stage.is_over(cursor=snapshot.id, only=import_id)
    assert [event.id for event in await (await stage.listen(cursor=snapshot.id, only=import_id)).rest()] == [
        last.id
    ]


async def test_a_later_cursor_of_all_events_ends_an_ended_imports_stream_too(
    stage: Stage, import_id: UUID
) -> None:
    await stage.change(import_id, 1, ended=True)
    _, cursor = await stage.begin()
    assert await stage.is_over(cursor=cursor, only=import_id)


async def test_the_snapshot_of_an_ended_import_is_its_whole_stream(stage: Stage, import_id: UUID) -> None:
    await stage.change(import_id, 5, ended=True)
    (snapshot,) = await (await stage.listen(only=import_id)).rest()
    assert snapshot.data["imports"][0]["version"] == 5
    assert await stage.is_over(cursor=snapshot.id, only=import_id)


async def test_an_end_that_redis_does_not_know_is_shown_by_a_snapshot(
    stage: Stage, import_id: UUID, redis_server: RedisServer
) -> None:
    await stage.change(import_id, 1)
    cursor = (await (await stage.listen(only=import_id)).next()).id
    await stage.change(import_id, 2, ended=True, told=False)
    told = await (await stage.listen(cursor=cursor, only=import_id)).rest()
    assert [event.name for event in told] == ["resync", "snapshot"]
    assert await stage.is_over(cursor=told[-1].id, only=import_id)


async def test_a_retried_import_goes_on_from_its_former_end(stage: Stage, import_id: UUID) -> None:
    await stage.change(import_id, 1)
    await stage.change(import_id, 2, ended=True)
    end = (await (await stage.listen(only=import_id)).next()).id
    await stage.change(import_id, 3)
    assert not await stage.is_over(cursor=end, only=import_id)
    listener = await stage.listen(cursor=end, only=import_id)
    assert (await listener.next()).data["version"] == 3


async def test_progress_of_a_former_attempt_does_not_follow_the_next(stage: Stage, import_id: UUID) -> None:
    listener, _ = await stage.begin()
    await stage.advance(import_id, 1, attempt=2)
    await stage.advance(import_id, 9, attempt=1)
    await stage.advance(import_id, 2, attempt=2)
    assert [(await listener.next()).data["seq"] for _ in range(2)] == [1, 2]
