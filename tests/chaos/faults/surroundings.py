"""Faults of Redis and the database, and of what lies in the queue."""

import asyncio
import shutil

from app.queue import Queue
from tests.chaos.faults.base import fault
from tests.chaos.world import World

COPIES = 20


@fault(at_steps=True)
async def redis_killed(world: World) -> None:
    await asyncio.to_thread(world.redis.stop)
    await asyncio.sleep(world.outage(10))
    await asyncio.to_thread(world.redis.start)


@fault()
async def redis_restarted_empty(world: World) -> None:
    await asyncio.to_thread(world.redis.stop)
    shutil.rmtree(world.redis.directory / "appendonlydir", ignore_errors=True)
    await asyncio.to_thread(world.redis.start)


@fault()
async def redis_hangs(world: World) -> None:
    world.redis.pause()
    try:
        await asyncio.sleep(world.outage(10))
    finally:
        world.redis.resume()


@fault(at_steps=True)
async def database_interrupted(world: World) -> None:
    """PostgreSQL crashes and comes back; SQLite's file is held by another program."""
    await world.database.interrupt(world.outage(10))


@fault(at_steps=True)
async def queue_messages_duplicated(world: World) -> None:
    """Each import in flight is called many times."""
    queue = Queue(world.redis.url)
    try:
        for wanted in world.load.in_flight():
            await asyncio.gather(*(queue.wake(wanted.uuid) for _ in range(COPIES)))
    finally:
        await queue.close()


@fault(at_steps=True)
async def two_workers_race(world: World) -> None:
    """A second worker comes, everything is called many times, and it goes again."""
    world.second.start()
    for _ in range(5):
        await queue_messages_duplicated(world)
        await asyncio.sleep(0.5)
    await world.second.end()
