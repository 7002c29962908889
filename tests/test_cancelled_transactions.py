"""A transaction that is cancelled, at whatever moment, holds nothing afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from app.db import Database
from app.models.data_centers import DataCenter

TIMES, STEPS = 150, 40
LONGEST_SECONDS = 0.004
"""About as long as the transaction takes."""


@pytest.fixture
async def cancelled(database: Database) -> AsyncIterator[list[asyncio.Task[None]]]:
    """The tasks stay referred to, and with them their errors' frames, as those of a worker may."""
    tasks: list[asyncio.Task[None]] = []
    yield tasks
    tasks.clear()


async def _write(database: Database, name: str) -> None:
    async with database.session() as session:
        session.add(DataCenter(name=name))
        await session.flush()
        await session.execute(select(DataCenter))


async def test_the_next_transaction_need_not_wait_for_a_cancelled_one(
    database: Database, cancelled: list[asyncio.Task[None]]
) -> None:
    for number in range(TIMES):
        task = asyncio.create_task(_write(database, f"cancelled {number}"))
        cancelled.append(task)
        await asyncio.sleep(LONGEST_SECONDS * (number % STEPS) / STEPS)
        task.cancel()
        await asyncio.wait({task})
        began = time.monotonic()
        await _write(database, f"next {number}")
        assert time.monotonic() - began < 5
