"""One client's stream: a snapshot or what was missed, then what happens, until an end."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from app.errors import EventsUnavailableError
from app.events.cursor import NOWHERE, START, Cursor, EventId
from app.events.feed import Feed, Position
from app.events.frames import PING, RETRY, Event, frame
from app.events.hub import EventsHub
from app.events.inbox import End, EventFilter, Inbox
from app.models.events import ByeEvent, EventType, ResyncEvent

RESYNC: Final = ResyncEvent(reason="The events after the cursor can't be told any more.")


@dataclass(frozen=True)
class Shown:
    """An import in a snapshot, and how new it is. `told`: Redis takes nothing older of it any more."""

    import_id: UUID
    version: int
    progress_mark: tuple[int, int]
    ended: bool
    told: bool
    data: str


Snapshot = Callable[[], AsyncIterator[Sequence[Shown]]]
"""Every import that the client wants, in pages; at least one page, be it empty."""


@dataclass(frozen=True)
class Wish:
    """What a client asked for. `only`: the stream of one import, which ends with it."""

    wanted: EventFilter
    snapshot: Snapshot
    cursor: Cursor | None = None
    only: UUID | None = None
    token_id: UUID | None = None
    ended_version: int | None = None
    """The version of the one import, if it had ended when the client came."""


async def has_ended(hub: EventsHub, wish: Wish) -> bool:
    """Whether the client has seen the one import's end, so that nothing is left to tell.

    Raises EventsUnavailableError when a stream can't begin now.
    """
    cursor, ended_version = wish.cursor, wish.ended_version
    if cursor is not None and ended_version is not None and cursor.final_version == ended_version:
        return True
    hub.check()
    position = await hub.feed.position(wish.only)
    if cursor is None or ended_version is None:
        return False
    is_usable = position.is_usable(cursor, import_id=wish.only, ended_version=ended_version)
    return is_usable and not position.has_news(cursor)


async def stream(hub: EventsHub, wish: Wish) -> AsyncGenerator[bytes, None]:
    """The stream's bytes. Whoever takes them closes the generator, so that its inbox goes with it."""
    with hub.inbox(wish.wanted, wish.token_id) as inbox:
        teller = _Teller(hub.feed, inbox, wish)
        yield RETRY
        try:
            async for chunk in teller.tell():
                yield chunk
        except EventsUnavailableError:
            inbox.close(End.EVENTS_UNAVAILABLE)
        if not teller.is_over:
            bye = ByeEvent(reason=inbox.end or End.EVENTS_LOST)
            yield frame("bye", bye.model_dump_json().encode(), teller.cursor)


class _Teller:
    """Tells one client, and knows what it has been told."""

    def __init__(self, feed: Feed, inbox: Inbox, wish: Wish) -> None:
        self._feed, self._inbox, self._wish = feed, inbox, wish
        self.cursor = wish.cursor or NOWHERE
        self.is_over = False
        """The one import has ended, and the client knows."""
        self._after = START
        """What came up to here is told, or part of the snapshot."""
        self._shown: dict[UUID, Shown] = {}
        """What the snapshot showed, as long as older events may follow."""
        self._settled = START
        """What came after this is newer than all that the snapshot showed as told."""

    async def tell(self) -> AsyncIterator[bytes]:
        # The inbox fills already: what comes from here on is in it, what came before lies in Redis.
        position = await self._feed.position(self._wish.only)
        async for chunk in self._begin(position):
            yield chunk
        while not self.is_over and self._inbox.end is None:
            events, ping = await self._inbox.take()
            chunk = b"".join(self._frames(events)) or (PING if ping else b"")
            if chunk:
                yield chunk

    async def _begin(self, position: Position) -> AsyncIterator[bytes]:
        cursor, only = self._wish.cursor, self._wish.only
        ended_version = self._wish.ended_version
        if cursor and position.is_usable(cursor, import_id=only, ended_version=ended_version):
            chunks = self._missed(position, cursor)
        else:
            chunks = self._snapshot(position, is_resync=cursor is not None)
        async for chunk in chunks:
            yield chunk
            if self.is_over or self._inbox.end is not None:
                return

    async def _missed(self, position: Position, cursor: Cursor) -> AsyncIterator[bytes]:
        self._after = cursor.event_id
        async for events in self._feed.missed(position, cursor, self._wish.only):
            wanted = [event for event in events if self._wish.wanted.wants(event)]
            if chunk := b"".join(self._frames(wanted)):
                yield chunk
        self._after = position.last

    async def _snapshot(self, position: Position, *, is_resync: bool) -> AsyncIterator[bytes]:
        self._after = position.last
        # Until it has the whole snapshot, a client that comes back needs it from the beginning.
        self.cursor = replace(position.cursor, partial=True)
        if is_resync:
            yield frame("resync", RESYNC.model_dump_json().encode(), self.cursor)
        page: Sequence[Shown] | None = None
        async for following in self._wish.snapshot():
            if page is not None:
                yield self._snapshot_frame(page, complete=False)
            page = following
        self.is_over = self._wish.only is not None and all(shown.ended for shown in page or ())
        final = page[0].version if self.is_over and page else None
        self.cursor = replace(position.cursor, final_version=final)
        yield self._snapshot_frame(page or (), complete=True)
        self._settled = (await self._feed.position()).last if not self.is_over else START

    def _snapshot_frame(self, page: Sequence[Shown], *, complete: bool) -> bytes:
        self._shown.update((shown.import_id, shown) for shown in page)
        imports = ",".join(shown.data for shown in page)
        data = f'{{"imports":[{imports}],"complete":{"true" if complete else "false"}}}'
        return frame("snapshot", data.encode(), self.cursor)

    def _frames(self, events: Sequence[Event]) -> list[bytes]:
        frames: list[bytes] = []
        for event in events:
            if not self._is_news(event):
                continue
            frames.append(event.frame)
            self.cursor = event.cursor
            if self._wish.only is not None and event.ended:
                self.is_over = True
                break
        return frames

    def _is_news(self, event: Event) -> bool:
        if event.id <= self._after:
            return False
        if self._shown:
            return self._is_newer_than_shown(event)
        return True

    def _is_newer_than_shown(self, event: Event) -> bool:
        if event.id > self._settled:
            self._shown = {key: shown for key, shown in self._shown.items() if not shown.told}
            self._settled = EventId(2**63, 0)
        shown = self._shown.get(event.import_id)
        if shown is None:
            return True
        if event.type == EventType.IMPORT:
            return event.mark[0] > shown.version
        return event.type != EventType.PROGRESS or event.mark > shown.progress_mark
