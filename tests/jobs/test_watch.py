"""Watchers: a log followed over real SSH, through lost connections, to events and rows."""

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest
import redis

from app.jobs.advance_import import advance_import
from app.models.proxy_hosts import ProxyHost
from app.services import following
from tests.support.engine import Engine, engine_on
from tests.support.redis import RedisServer
from tests.support.sshd import SshServer
from tests.support.tiny_virt_v2v import CONVERSION, bar, message
from tests.support.waiting import until

ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def _events(server: RedisServer, import_id: UUID) -> list[tuple[str, dict[str, Any]]]:
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        found = client.xrange(f"v2v:events:{import_id}")
    assert isinstance(found, list)
    return [(fields[b"type"].decode(), json.loads(fields[b"data"])) for _, fields in found]


def _percents(events: list[tuple[str, Any]]) -> list[float]:
    told = [data["progress"]["percent"] for kind, data in events if kind == "progress"]
    return [percent for percent in told if percent is not None]


def _stages(events: list[tuple[str, Any]]) -> list[str]:
    return [data["stage"] for kind, data in events if kind == "import" and data["stage"]]


async def test_clients_see_stages_messages_and_progress_that_only_grows(
    engine: Engine, redis_server: RedisServer
) -> None:
    engine.redis_url = redis_server.url
    lines = [*CONVERSION[:2], message("warning", "careful"), *CONVERSION[2:]]
    engine.virt_v2v.plan(lines, hold_before=bar(50))
    engine.virt_v2v.hold()
    context = await engine.context()
    import_id = await engine.queue()
    async with engine.watching(context):
        await advance_import(context, import_id)
        await until(lambda: 40 in _percents(_events(redis_server, import_id)))
        await until(lambda: "copying" in _stages(_events(redis_server, import_id)))
        engine.virt_v2v.let_go()
        await engine.drive(context, import_id)
    events = _events(redis_server, import_id)
    percents = _percents(events)
    assert percents == sorted(percents)
    assert percents[-1] == 100
    texts = [(data["severity"], data["text"]) for kind, data in events if kind == "message"]
    assert texts == [("warning", "careful")]
    states = [data["state"] for kind, data in events if kind == "import"]
    assert (states[-1], events[-1][0]) == ("succeeded", "import")


@ONE_DATABASE
async def test_a_lost_connection_resumes_where_it_stopped(
    own_sshd: SshServer, database_url: str, database: Any
) -> None:
    async with engine_on(database, own_sshd) as engine:
        lines = [f"line {number}\n" for number in range(100)]
        engine.virt_v2v.plan([*lines, *CONVERSION], pause_seconds=0.02)
        context = await engine.context()
        import_id = await engine.queue()
        async with engine.watching(context):
            await advance_import(context, import_id)
            for _ in range(3):
                await asyncio.sleep(0.6)
                own_sshd.cut()
            row = await engine.drive(context, import_id)
        assert row.state == "succeeded"
        kept = (await engine.log(import_id)).decode().splitlines()
        assert [line for line in kept if line.startswith("line ")] == [line.strip() for line in lines]


@ONE_DATABASE
async def test_a_host_is_left_when_there_is_nothing_to_follow(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.queue()

    async def watcher() -> UUID | None:
        async with engine.database.reading() as session:
            return (await session.get_one(ProxyHost, engine.site.host_id)).watcher_worker_id

    async with engine.watching(context, idle_seconds=0.5):
        await advance_import(context, import_id)
        await until(lambda: _is(watcher, context.worker_id))
        await engine.drive(context, import_id)
        await until(lambda: _is(watcher, None))


async def _is(ask: Any, wanted: UUID | None) -> bool:
    return bool(await ask() == wanted)


@ONE_DATABASE
async def test_a_stall_is_told_and_is_over_when_virt_v2v_goes_on(engine: Engine) -> None:
    engine.virt_v2v.plan([*CONVERSION[:5], bar(50)])
    engine.virt_v2v.hold()
    context = await engine.context(stall_after_seconds=1)
    import_id = await engine.queue()

    async def has_stalled() -> bool:
        row = await engine.site.row(import_id)
        return [warning.code for warning in row.warnings] == ["stalled"]

    async def is_saved() -> bool:
        return (await engine.site.row(import_id)).progress.stalled_since is not None

    async with engine.watching(context):
        await advance_import(context, import_id)
        await until(has_stalled, seconds=20)
        await until(is_saved)
        engine.virt_v2v.let_go()
        row = await engine.drive(context, import_id)
    assert (row.state, row.progress.stalled_since) == ("succeeded", None)


@ONE_DATABASE
async def test_two_imports_on_a_host_are_followed_together(engine: Engine) -> None:
    context = await engine.context()
    ids = [await engine.queue(path=engine.source(f"web-{number}.img")) for number in range(3)]
    async with engine.watching(context):
        rows = await asyncio.gather(*(engine.drive(context, import_id, seconds=60) for import_id in ids))
    assert [row.state for row in rows] == ["succeeded"] * 3


@ONE_DATABASE
async def test_a_watcher_that_lost_its_host_saves_nothing_more(engine: Engine) -> None:
    """The others took its worker for dead: only the new watcher's saves count, and none is doubled."""
    lines = [f"line {number}\n" for number in range(60)]
    engine.virt_v2v.plan([*lines, *CONVERSION], pause_seconds=0.02)
    old, new = await engine.context(), await engine.context()
    import_id = await engine.queue()
    async with engine.watching(old), engine.watching(new):
        await advance_import(old, import_id)
        await asyncio.sleep(0.5)
        async with engine.database.session() as session:
            host = await session.get_one(ProxyHost, engine.site.host_id)
            await following.leave_host(session, host.id, host.watcher_worker_id or new.worker_id)
            await following.take_hosts(session, [host.id], new.worker_id)
        row = await engine.drive(new, import_id)
    assert row.state == "succeeded"
    kept = (await engine.log(import_id)).decode().splitlines()
    assert [line for line in kept if line.startswith("line ")] == [line.strip() for line in lines]
