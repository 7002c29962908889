"""A cancel that comes while Redis is asked."""

import asyncio
from uuid import UUID

from tests.events.conftest import Stage

PUBLISHERS, TIMES, STEPS = 30, 20, 10
LONGEST_SECONDS = 0.02


async def test_whoever_is_cancelled_while_publishing_ends(stage: Stage, import_id: UUID) -> None:
    async def publish_all() -> None:
        while True:
            await stage.say(import_id, 1, "once")

    for number in range(TIMES):
        tasks = [asyncio.create_task(publish_all()) for _ in range(PUBLISHERS)]
        await asyncio.sleep(LONGEST_SECONDS * (number % STEPS) / STEPS)
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=10)
        for task in left:
            task.cancel()
        assert not left
