"""The sweep: what stands still is woken, the dead are buried, hosts are probed, clients told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import redis

from app.jobs.context import Context
from app.jobs.runner import Runner
from app.jobs.sweep import Pulse, Sweep
from app.models.columns import now
from app.models.proxy_hosts import HostState, HostStatus, ProxyHost
from app.services import imports, turns, workers
from tests.support.engine import Engine
from tests.support.redis import RedisServer
from tests.support.waiting import until


@asynccontextmanager
async def _sweeping(context: Context) -> AsyncIterator[None]:
    task = asyncio.create_task(Sweep(context, Runner(context)).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def test_a_worker_whose_beat_stands_still_is_dead_and_one_that_beats_is_not() -> None:
    pulse, still, moving = Pulse(8.0), uuid4(), uuid4()
    assert pulse.dead({still: 1, moving: 1}, 0.0) == []
    assert pulse.dead({still: 1, moving: 2}, 7.9) == []
    assert pulse.dead({still: 1, moving: 3}, 8.0) == [still]


def test_a_worker_that_beats_again_lives() -> None:
    pulse, worker_id = Pulse(8.0), uuid4()
    pulse.dead({worker_id: 1}, 0.0)
    pulse.dead({worker_id: 2}, 7.0)
    assert pulse.dead({worker_id: 2}, 14.9) == []
    assert pulse.dead({worker_id: 2}, 15.0) == [worker_id]


def test_a_worker_that_is_gone_is_forgotten() -> None:
    pulse, worker_id = Pulse(8.0), uuid4()
    pulse.dead({worker_id: 1}, 0.0)
    assert pulse.dead({}, 9.0) == []
    assert pulse.dead({worker_id: 1}, 10.0) == []


async def test_without_redis_an_import_goes_from_the_queue_to_its_end(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.site.queue(path=engine.source())
    async with engine.watching(context), _sweeping(context):
        await until(lambda: engine.has_ended(import_id), seconds=30)
    assert (await engine.site.row(import_id)).state == "succeeded"


async def test_an_import_whose_time_comes_is_admitted(engine: Engine) -> None:
    context = await engine.context()
    soon = (now() + timedelta(seconds=0.5)).isoformat()
    import_id = await engine.site.queue(path=engine.source(), start_after=soon)

    async def has_begun() -> bool:
        return (await engine.site.row(import_id)).state != "queued"

    async with _sweeping(context):
        await until(has_begun)
    assert now().isoformat() > soon


async def test_what_is_due_is_woken_through_redis_once(engine: Engine, redis_server: RedisServer) -> None:
    engine.redis_url = redis_server.url
    context = await engine.context()
    await engine.queue()
    async with _sweeping(context):
        await asyncio.sleep(1)
    with redis.Redis(unix_socket_path=str(redis_server.socket)) as client:
        assert client.zcard("v2v-import:wakes") == 1


async def test_a_dead_worker_s_turn_is_freed_and_its_row_goes(engine: Engine) -> None:
    context, dead = await engine.context(), await engine.context()
    import_id = await engine.queue()
    async with engine.database.session() as session:
        await turns.claim(session, import_id, dead.worker_id)

    async def only_the_living() -> bool:
        async with engine.database.session() as session:
            await workers.beat(session, context.worker_id)
        async with engine.database.reading() as session:
            return list(await workers.beats(session)) == [context.worker_id]

    async with _sweeping(context):
        await until(only_the_living)
        await until(lambda: engine.is_past(import_id, turn=1))


async def test_a_claim_of_our_own_that_no_turn_holds_is_freed(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.queue()
    async with engine.database.session() as session:
        await turns.claim(session, import_id, context.worker_id)
    async with _sweeping(context):
        await until(lambda: engine.is_past(import_id, turn=1))


async def test_a_new_host_is_probed_and_found_up(engine: Engine) -> None:
    context = await engine.context()
    await engine.set_host(status=HostStatus(state=HostState.CHECKING))
    async with _sweeping(context):
        host = await _probed(engine, HostState.UP)
    assert host.status.virt_v2v is not None
    assert host.status.virt_v2v.version == "2.2.0"
    assert host.status.boot_id
    assert host.status.fingerprint is not None


async def test_imports_that_wait_for_a_host_try_at_once_when_it_is_found_up_again(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.queue()
    await engine.set_host(status=HostStatus(state=HostState.UNREACHABLE))
    async with engine.database.session() as session:
        row = await imports.get_locked(session, import_id)
        row.troubled_since, row.wake_at = now(), now() + timedelta(hours=1)
    async with _sweeping(context):
        await until(lambda: engine.is_past(import_id, turn=0))


async def test_a_host_whose_key_was_not_accepted_shows_the_key_that_it_offers(engine: Engine) -> None:
    context = await engine.context()
    await engine.set_host(host_key=None, status=HostStatus())
    async with _sweeping(context):
        host = await _probed(engine, HostState.UNVERIFIED)
    assert host.status.offered_host_key == engine.sshd.host_key
    assert (host.status.fingerprint or "").startswith("SHA256:")


async def test_a_host_that_can_t_be_used_says_why(engine: Engine) -> None:
    context = await engine.context()
    await engine.set_host(virt_v2v_path="/nowhere/virt-v2v", status=HostStatus(state=HostState.CHECKING))
    async with _sweeping(context):
        host = await _probed(engine, HostState.UNUSABLE)
    assert host.status.problem is not None
    assert host.status.problem.code == "virt_v2v_missing"


async def test_a_changed_host_key_makes_a_host_unreachable_and_is_never_accepted(engine: Engine) -> None:
    context = await engine.context()
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGGRGsEYCuGuyqVYUMyEYqWXxI7Bv1TDsWQQJQFdRDhq"
    await engine.set_host(host_key=other, status=HostStatus(state=HostState.CHECKING))
    async with _sweeping(context):
        host = await _probed(engine, HostState.UNREACHABLE)
    assert host.status.problem is not None
    assert (host.status.problem.code, host.host_key) == ("host_key_mismatch", other)


async def test_a_disabled_host_is_told_so_and_left_alone(engine: Engine) -> None:
    context = await engine.context(host_check_seconds=0.1)
    await engine.set_host(enabled=False)
    async with _sweeping(context):
        first = (await _probed(engine, HostState.DISABLED)).status.checked_at
        await asyncio.sleep(0.5)
        assert (await _probed(engine, HostState.DISABLED)).status.checked_at == first


async def test_what_clients_were_not_told_they_are_told_when_redis_is_back(
    engine: Engine, redis_server: RedisServer
) -> None:
    engine.redis_url = redis_server.url
    redis_server.stop()
    context = await engine.context()
    import_id = await engine.site.queue(path=engine.source())
    await context.announce(import_id)

    async def is_told() -> bool:
        row = await engine.site.row(import_id)
        return row.published_version == row.version

    async with _sweeping(context):
        await asyncio.sleep(0.3)
        assert not await is_told()
        redis_server.start()
        await until(is_told)


async def _probed(engine: Engine, state: HostState) -> ProxyHost:
    """The site's host, as soon as it was found in that state."""
    found: list[ProxyHost] = []

    async def is_so() -> bool:
        async with engine.database.reading() as session:
            found[:] = [await session.get_one(ProxyHost, engine.site.host_id)]
        return found[0].status.state is state and found[0].status.checked_at is not None

    await until(is_so)
    return found[0]
