"""Runs this worker's turns, so many at the same time."""

import asyncio
from collections import Counter
from uuid import UUID

from app import logs
from app.jobs.advance_import import advance_import
from app.jobs.context import Context

log = logs.get("turn")


class Runner:
    """Turns come through the queue; without Redis the sweep starts them here itself."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._slots = asyncio.Semaphore(context.settings.worker_turns)
        self._running: Counter[UUID] = Counter()

    def is_running(self, import_id: UUID) -> bool:
        return self._running[import_id] > 0

    def is_full(self) -> bool:
        return self._slots.locked()

    async def run(self, import_id: UUID) -> None:
        """One turn, to its end. What fails here is the database: the sweep finds the import again."""
        self._running[import_id] += 1
        try:
            async with self._slots:
                await advance_import(self._context, import_id)
        except Exception:  # the top of a job
            log.exception("turn.failed", import_id=str(import_id))
        finally:
            self._running[import_id] -= 1
            if not self._running[import_id]:
                del self._running[import_id]
