"""Reads events from Redis: where they stand, what was missed, what comes."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from redis.exceptions import RedisError

from app.errors import EventsUnavailableError
from app.events import keys
from app.events.cursor import Cursor, EventId
from app.events.frames import Event, event_of
from app.models.events import EventType
from app.outages import within

READ_SECONDS: Final = 2.0
BLOCK_SECONDS: Final = 3.0
PAGE_EVENTS: Final = 500
BATCH_EVENTS: Final = 100
"""Told to all clients in one go, while nothing else of this process runs."""
MAX_CONNECTIONS: Final = 8
NO_IMPORT: Final = UUID(int=0)
SCRIPT: Final = (Path(__file__).parent / "position.lua").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Edges:
    """The ends of one stream, and whether anything was ever trimmed from it."""

    first: EventId | None
    last: EventId | None
    is_whole: bool

    def covers(self, seen: EventId) -> bool:
        """Whether everything after `seen` is still there."""
        return self.is_whole or (self.first is not None and seen >= self.first)


@dataclass(frozen=True)
class Position:
    """Where the events stand at one moment; `own` and `version` are those of one import."""

    epoch: str
    last: EventId
    added: int
    live: Edges
    own: Edges
    version: int
    """The newest version of the import that was told; 0 = none is known any more."""

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.last)

    def is_usable(self, cursor: Cursor, *, import_id: UUID | None, ended_version: int | None = None) -> bool:
        """Whether all that came after the cursor can be told; of an ended import, its end too."""
        if cursor.partial or cursor.epoch != self.epoch or cursor.event_id > self.last:
            return False
        if ended_version is not None and self.version < ended_version:
            return False
        seen = cursor.event_id
        return self.live.covers(seen) or (import_id is not None and self.own.covers(seen))

    def has_news(self, cursor: Cursor) -> bool:
        """Whether the import has events after the cursor."""
        return self.own.last is not None and self.own.last > cursor.event_id


class Feed:
    """Redis's side of the event streams. Every method raises EventsUnavailableError without Redis."""

    def __init__(self, url: str) -> None:
        self._redis = keys.connect(url, timeout_seconds=READ_SECONDS, max_connections=MAX_CONNECTIONS)
        # A read that waits for events must not count as one that got no answer.
        waits = BLOCK_SECONDS + READ_SECONDS
        self._waiting = keys.connect(url, timeout_seconds=waits, max_connections=1)
        self._position = self._redis.register_script(SCRIPT)

    async def position(self, import_id: UUID | None = None) -> Position:
        own = import_id or NO_IMPORT
        names = [keys.LIVE, keys.STATE, keys.replay(own), keys.newest(own)]
        epoch, ms, n, added, live, mine, version = await _answer(
            self._position(keys=names, args=[secrets.token_hex(8)]), READ_SECONDS
        )
        return Position(
            epoch=epoch.decode(),
            last=EventId(int(ms), int(n)),
            added=int(added),
            live=_edges(live, is_born_here=True),
            own=_edges(mine, is_born_here=_is_first_event(mine)),
            version=int(version),
        )

    async def missed(
        self, position: Position, cursor: Cursor, import_id: UUID | None
    ) -> AsyncIterator[list[Event]]:
        """What came after the (usable) cursor up to the position, in order, in pages."""
        if import_id is not None and position.own.covers(cursor.event_id):
            stream = keys.replay(import_id)
        else:
            stream = keys.LIVE
        after = cursor.event_id
        while after < position.last:
            read = self._redis.xrange(stream, f"({after}", str(position.last), count=PAGE_EVENTS)
            page = [event_of(entry_id, fields) for entry_id, fields in await _answer(read, READ_SECONDS)]
            if not page:
                return
            yield page
            after = page[-1].id

    async def news(self, after: EventId) -> list[Event]:
        """What came after an event; waits for it a few seconds."""
        block = int(BLOCK_SECONDS * 1000)
        read = self._waiting.xread({keys.LIVE: str(after)}, count=BATCH_EVENTS, block=block)
        answer = await _answer(read, BLOCK_SECONDS + READ_SECONDS)
        return [event_of(entry_id, fields) for _, entries in answer for entry_id, fields in entries]

    async def close(self) -> None:
        await self._redis.aclose()
        await self._waiting.aclose()


async def _answer(command: Any, seconds: float) -> Any:
    try:
        async with within(seconds):
            return await command
    except (RedisError, OSError) as error:
        raise EventsUnavailableError(retry_after_seconds=2) from error


def _edges(edge: list[Any], *, is_born_here: bool) -> Edges:
    first, last, length, added = edge[:4]
    return Edges(
        first=EventId.parse(first) if first else None,
        last=EventId.parse(last) if last else None,
        is_whole=is_born_here and int(length) == int(added),
    )


def _is_first_event(edge: list[Any]) -> bool:
    """An import's stream may have expired and begun anew: it is whole only with the import's first event."""
    return bool(edge[4] == EventType.IMPORT.value.encode() and edge[5] == b"1")
