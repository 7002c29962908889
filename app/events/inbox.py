"""What one client is still to be told: a bounded queue, filled by the hub and drained whole."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.events.frames import Event
from app.models.events import EventType

INBOX_BYTES: Final = 4 * 2**20
"""A client that is so far behind is cut off; it goes on from its cursor."""


class End(StrEnum):
    """Why a stream ends before its time; the `reason` of `bye`."""

    SERVER_STOPS = "server_stops"
    EVENTS_UNAVAILABLE = "events_unavailable"
    EVENTS_LOST = "events_lost"
    TOO_SLOW = "too_slow"
    TOKEN_ENDED = "token_ended"  # noqa: S105


@dataclass(frozen=True)
class EventFilter:
    """Which events a client wants; what is empty doesn't matter, labels must all be there."""

    types: frozenset[EventType] = frozenset()
    labels: tuple[tuple[str, str], ...] = ()
    import_ids: frozenset[UUID] = frozenset()

    def wants(self, event: Event) -> bool:
        return (
            (not self.types or event.type in self.types)
            and (not self.import_ids or event.import_id in self.import_ids)
            and all(event.labels.get(key) == value for key, value in self.labels)
        )


class Inbox:
    """Filled and drained in one event loop."""

    def __init__(
        self, wanted: EventFilter, *, limit_bytes: int = INBOX_BYTES, token_id: UUID | None = None
    ) -> None:
        self.wanted = wanted
        self.token_id = token_id
        self.end: End | None = None
        self._limit_bytes = limit_bytes
        self._events: list[Event] = []
        self._bytes = 0
        self._ping = False
        self._filled = asyncio.Event()

    def offer(self, event: Event) -> None:
        """Never waits: a slow client must not hold up the others."""
        if self.end is not None or not self.wanted.wants(event):
            return
        self._events.append(event)
        self._bytes += len(event.frame)
        if self._bytes > self._limit_bytes:
            self.close(End.TOO_SLOW)
        self._filled.set()

    def ping(self) -> None:
        self._ping = True
        self._filled.set()

    def close(self, end: End) -> None:
        """The client is told nothing more, but why; the first reason stands."""
        if self.end is None:
            self.end = end
        if end is End.TOO_SLOW:
            self._events.clear()
        self._filled.set()

    async def take(self) -> tuple[Sequence[Event], bool]:
        """All that has come, and whether a ping is due; waits until there is something or the end."""
        await self._filled.wait()
        events, ping = self._events, self._ping
        self._events, self._bytes, self._ping = [], 0, False
        # After the end there is always something to take: the end itself.
        if self.end is None:
            self._filled.clear()
        return events, ping
