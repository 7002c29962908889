"""Wakes go through a real Redis; what is lost there is told by False."""

import asyncio
import json
from uuid import uuid4

import pytest
import redis
from arq.worker import Worker, func

from app.queue import JOB_NAME, Queue, redis_settings, worker_options
from tests.support.redis import RedisServer
from tests.support.waiting import until


async def test_a_wake_reaches_a_worker_with_the_import_s_id(redis_server: RedisServer) -> None:
    seen: list[str] = []

    async def advance_import(_: object, import_id: str) -> None:
        seen.append(import_id)

    queue, import_id = Queue(redis_server.url), uuid4()
    assert await queue.wake(import_id)
    worker = Worker(
        functions=[func(advance_import, name=JOB_NAME)],
        burst=True,
        handle_signals=False,
        **worker_options(redis_server.url, turn_timeout_seconds=5),
    )
    await worker.async_run()
    await worker.close()
    await queue.close()
    assert seen == [str(import_id)]


async def test_every_wake_is_a_job_of_its_own_and_holds_the_id_alone(redis_server: RedisServer) -> None:
    queue, import_id = Queue(redis_server.url), uuid4()
    assert await queue.wake(import_id)
    assert await queue.wake(import_id)
    await queue.close()
    with redis.Redis(unix_socket_path=str(redis_server.socket)) as client:
        jobs = [json.loads(client.get(key)) for key in client.keys("arq:job:*")]
    assert [(job["f"], job["a"], job["k"]) for job in jobs] == [(JOB_NAME, [str(import_id)], {})] * 2


async def test_a_wake_without_redis_is_false_and_the_next_one_with_it_works(
    redis_server: RedisServer,
) -> None:
    queue = Queue(redis_server.url)
    assert await queue.ping()
    redis_server.stop()
    assert not await queue.wake(uuid4())
    assert not await queue.ping()
    redis_server.start()
    assert await queue.wake(uuid4())
    await queue.close()


async def test_a_redis_that_hangs_makes_a_wake_false(redis_server: RedisServer) -> None:
    queue = Queue(redis_server.url)
    assert await queue.wake(uuid4())
    redis_server.pause()
    async with asyncio.timeout(30):
        assert not await queue.wake(uuid4())
    redis_server.resume()
    await until(lambda: queue.wake(uuid4()))
    await queue.close()


async def test_a_redis_that_hangs_is_waited_for_by_one_caller_at_a_time(redis_server: RedisServer) -> None:
    queue = Queue(redis_server.url)
    redis_server.pause()
    # Each of them alone would wait for two seconds.
    async with asyncio.timeout(30):
        for _ in range(1000):
            assert not await queue.wake(uuid4())
            assert not await queue.ping()
    redis_server.resume()
    await until(queue.ping)
    await queue.close()


def test_a_unix_url_gives_the_socket_s_path() -> None:
    settings = redis_settings("unix:///run/a%20b%3F/redis.sock?db=3")
    assert (settings.unix_socket_path, settings.database) == ("/run/a b?/redis.sock", 3)


def test_a_tls_url_checks_the_server_s_name() -> None:
    settings = redis_settings("rediss://user:p%40ss@redis.example:6390/2")
    assert (settings.host, settings.port, settings.database) == ("redis.example", 6390, 2)
    assert (settings.username, settings.password) == ("user", "p@ss")
    assert (settings.ssl, settings.ssl_check_hostname) == (True, True)


def test_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="redis://"):
        redis_settings("http://redis.example")
