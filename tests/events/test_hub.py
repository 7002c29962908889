"""The hub when things go wrong: Redis gone, hanging or emptied, clients slow or gone, the server stopping."""

import asyncio
import time
from uuid import UUID, uuid4

import pytest
import redis

from app.errors import EventsUnavailableError
from app.events.hub import EventsHub
from app.events.inbox import End, EventFilter
from app.events.keys import LIVE, STATE
from tests.events.conftest import Stage
from tests.support.redis import RedisServer
from tests.support.waiting import until


async def test_streams_end_with_bye_when_redis_is_gone_and_new_ones_are_refused(
    stage: Stage, redis_server: RedisServer
) -> None:
    listener, cursor = await stage.begin()
    redis_server.stop()
    bye = await listener.next()
    assert (bye.name, bye.id, bye.data["reason"]) == ("bye", cursor, "events_unavailable")
    assert await listener.rest() == []
    # A stream may see it a moment before the hub does.
    await until(lambda: not stage.hub.is_reading)
    with pytest.raises(EventsUnavailableError) as refused:
        stage.hub.check()
    assert refused.value.retry_after_seconds is not None


async def test_clients_go_on_where_they_were_when_redis_comes_back(
    stage: Stage, redis_server: RedisServer, import_id: UUID
) -> None:
    listener, _ = await stage.begin()
    await stage.advance(import_id, 1)
    cursor = (await listener.next()).id
    redis_server.stop()
    await listener.rest()
    redis_server.start()
    await stage.advance(import_id, 2)
    await until(lambda: stage.hub.is_reading)
    listener = await stage.listen(cursor=cursor)
    assert (await listener.next()).data["seq"] == 2


async def test_a_redis_that_hangs_is_a_redis_that_is_gone(stage: Stage, redis_server: RedisServer) -> None:
    listener, _ = await stage.begin()
    redis_server.pause()
    try:
        assert (await listener.next(seconds=8)).data["reason"] == "events_unavailable"
    finally:
        redis_server.resume()
    await until(lambda: stage.hub.is_reading)


async def test_a_stream_that_begins_while_redis_hangs_is_refused_soon(
    stage: Stage, redis_server: RedisServer, import_id: UUID
) -> None:
    await stage.change(import_id, 1)
    redis_server.pause()
    try:
        with pytest.raises(EventsUnavailableError):
            async with asyncio.timeout(4):
                await stage.is_over(cursor=None, only=import_id)
    finally:
        redis_server.resume()


async def test_an_emptied_redis_sends_clients_back_for_a_snapshot(
    stage: Stage, redis_server: RedisServer, import_id: UUID
) -> None:
    await stage.change(import_id, 1)
    listener, cursor = await stage.begin()
    redis_server.flush()
    assert (await listener.next(seconds=8)).data["reason"] == "events_lost"
    await until(lambda: stage.hub.is_reading)
    listener = await stage.listen(cursor=cursor)
    assert [(await listener.next()).name for _ in range(2)] == ["resync", "snapshot"]
    await stage.change(import_id, 2)
    assert (await listener.next()).data["version"] == 2


async def test_an_emptied_redis_that_is_filled_at_once_is_noticed_too(
    stage: Stage, redis_server: RedisServer, import_id: UUID
) -> None:
    await stage.change(import_id, 1)
    listener, _ = await stage.begin()
    redis_server.flush()
    await stage.change(import_id, 2)
    assert (await listener.next()).data["reason"] == "events_lost"


async def test_a_slow_reader_is_cut_off_and_resumes_and_the_others_notice_nothing(
    redis_server: RedisServer, stage: Stage, import_id: UUID
) -> None:
    hub = EventsHub(redis_server.url, ping_seconds=15, inbox_bytes=4000)
    await hub.start()
    await until(lambda: hub.is_reading)
    stage.hub = hub
    quick, _ = await stage.begin()
    slow, cursor = await stage.begin()
    for seq in range(1, 101):
        await stage.advance(import_id, seq)
        assert (await quick.next()).data["seq"] == seq
    assert [(event.name, event.data["reason"]) for event in await slow.rest()] == [("bye", "too_slow")]
    again = await stage.listen(cursor=cursor)
    assert [(await again.next()).data["seq"] for _ in range(100)] == list(range(1, 101))
    await hub.close()


async def test_when_the_server_stops_streams_say_bye_and_none_begins(stage: Stage) -> None:
    listener, cursor = await stage.begin()
    stage.hub.stop()
    (bye,) = await listener.rest(seconds=1)
    assert (bye.name, bye.id, bye.data["reason"]) == ("bye", cursor, "server_stops")
    with pytest.raises(EventsUnavailableError):
        stage.hub.check()


async def test_a_client_that_leaves_leaves_nothing_behind(stage: Stage) -> None:
    listener = await stage.listen()
    await listener.next()
    assert stage.hub.client_count == 1
    await stage.stack.aclose()
    assert stage.hub.client_count == 0


async def test_a_quiet_stream_is_pinged(redis_server: RedisServer, stage: Stage) -> None:
    hub = EventsHub(redis_server.url, ping_seconds=0.05)
    await hub.start()
    await until(lambda: hub.is_reading)
    stage.hub = hub
    listener, _ = await stage.begin()
    with pytest.raises(TimeoutError):
        await listener.next(seconds=0.3)
    assert listener.reader.pings >= 2
    await hub.close()


async def test_a_stream_ends_with_the_token_that_opened_it(redis_server: RedisServer, stage: Stage) -> None:
    good, bad = uuid4(), uuid4()

    async def ended(token_ids: set[UUID]) -> set[UUID]:
        return token_ids & {bad}

    stage.hub = EventsHub(redis_server.url, ping_seconds=0.05, ended_tokens=ended)
    await stage.hub.start()
    await until(lambda: stage.hub.is_reading)
    with stage.hub.inbox(EventFilter(), good) as kept, stage.hub.inbox(EventFilter(), bad) as cut:
        await until(lambda: cut.end is End.TOKEN_ENDED)
        assert kept.end is None
    await stage.hub.close()


async def test_two_hundred_clients_are_told_everything(stage: Stage) -> None:
    clients = [(await stage.begin())[0] for _ in range(200)]
    ids = [uuid4() for _ in range(5)]
    began = time.monotonic()
    for seq in range(1, 21):
        for import_id in ids:
            await stage.advance(import_id, seq)
    for client in clients:
        told = [await client.next() for _ in range(100)]
        assert [event.data["seq"] for event in told] == [seq for seq in range(1, 21) for _ in ids]
    assert time.monotonic() - began < 10


async def test_a_hub_without_redis_starts_and_closes() -> None:
    hub = EventsHub("unix:///nowhere/redis.sock", ping_seconds=15)
    await hub.start()
    with hub.inbox(EventFilter()) as inbox:
        assert inbox.end is not None
    with pytest.raises(EventsUnavailableError):
        hub.check()
    await hub.close()


async def test_an_event_of_a_newer_version_is_passed_on(
    stage: Stage, redis_server: RedisServer, import_id: UUID
) -> None:
    listener, _ = await stage.begin()
    await stage.change(import_id, 1)
    assert (await listener.next()).name == "import"
    with redis.Redis(unix_socket_path=str(redis_server.socket)) as client:
        [(_, fields)] = client.xrevrange(LIVE, count=1)
        newer = {**fields, b"type": b"of_a_newer_version", b"added": str(int(fields[b"added"]) + 1).encode()}
        client.hincrby(STATE, "added", 1)
        client.xadd(LIVE, newer)
    assert (await listener.next()).name == "of_a_newer_version"
