"""Something that may hang: nobody waits for it for ever, and only one caller waits in vain."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

PAUSE_SECONDS: Final = 1.0
"""How soon the next caller tries whether it answers again."""


class Outage:
    """While it is on, one caller at a time tries; all others give up at once."""

    def __init__(self, patience_seconds: float) -> None:
        """`patience_seconds` is how long a caller waits at most."""
        self._patience_seconds = patience_seconds
        self._is_on = False
        self._next_try = 0.0

    def is_on(self) -> bool:
        """Whether to give up at once. Who isn't to says with `note` how it went."""
        if not self._is_on:
            return False
        if time.monotonic() < self._next_try:
            return True
        self._next_try = time.monotonic() + self._patience_seconds + PAUSE_SECONDS
        return False

    def note(self, error: Exception | None) -> None:
        """Only what hangs costs patience: who is refused at once has waited for nothing."""
        self._is_on = "imeout" in type(error).__name__
        self._next_try = time.monotonic() + PAUSE_SECONDS


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """A time limit, under which a cancel stays one. Raises TimeoutError.

    redis-py (5.3) looks whether a connection has something to read with a time limit of 0 s, and that takes a
    cancel which comes then for its own end (measured: about one in twenty). The caller would go on, and who
    cancelled it would wait for ever.
    """
    task = asyncio.current_task()
    cancels = task.cancelling() if task is not None else 0
    try:
        async with asyncio.timeout(seconds):
            yield
    finally:
        if task is not None and task.cancelling() > cancels:
            raise asyncio.CancelledError
