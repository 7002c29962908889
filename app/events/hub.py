"""The hub: one reader of Redis a process, which fills the inbox of every client of an event stream."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Final
from uuid import UUID

from app import logs
from app.errors import EventsUnavailableError
from app.events.feed import Feed
from app.events.frames import Event
from app.events.inbox import INBOX_BYTES, End, EventFilter, Inbox

START_SECONDS: Final = 3.0
RETRY_SECONDS: Final = 0.5
EndedTokens = Callable[[set[UUID]], Awaitable[set[UUID]]]
"""Those of the tokens that are good no longer."""

log = logs.get("events")


class EventsHub:
    """Clients come and go; without Redis there are none."""

    def __init__(
        self,
        url: str,
        *,
        ping_seconds: float,
        ended_tokens: EndedTokens | None = None,
        inbox_bytes: int = INBOX_BYTES,
    ) -> None:
        self.feed = Feed(url)
        self._ended_tokens = ended_tokens
        self._ping_seconds = ping_seconds
        self._inbox_bytes = inbox_bytes
        self._inboxes: set[Inbox] = set()
        self.is_reading = False
        self._tried = asyncio.Event()
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Clients may come from now on; with Redis there, they are not refused."""
        self._tasks = [asyncio.create_task(self._keep_reading()), asyncio.create_task(self._keep_pinging())]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._tried.wait()

    @property
    def client_count(self) -> int:
        return len(self._inboxes)

    def check(self) -> None:
        """Raises EventsUnavailableError when a stream could not begin now."""
        if self._stopped:
            raise EventsUnavailableError("The server is stopping.", retry_after_seconds=2)
        if not self.is_reading:
            raise EventsUnavailableError(retry_after_seconds=2)

    @contextlib.contextmanager
    def inbox(self, wanted: EventFilter, token_id: UUID | None = None) -> Iterator[Inbox]:
        """An inbox that is filled from now on, for the bearer of a token."""
        inbox = Inbox(wanted, limit_bytes=self._inbox_bytes, token_id=token_id)
        self._inboxes.add(inbox)
        try:
            if self._stopped:
                inbox.close(End.SERVER_STOPS)
            elif not self.is_reading:
                inbox.close(End.EVENTS_UNAVAILABLE)
            yield inbox
        finally:
            self._inboxes.discard(inbox)

    def stop(self) -> None:
        """The server stops: streams end with `bye`, and none begins."""
        self._stopped = True
        self._close_all(End.SERVER_STOPS)

    async def close(self) -> None:
        self.stop()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            # redis-py sends within `asyncio.wait_for`, which on Python 3.11 swallows a cancel that comes as
            # it ends: once is not enough.
            await asyncio.wait(self._tasks, timeout=0.1)
            self._tasks = [task for task in self._tasks if not task.done()]
        await self.feed.close()

    def _close_all(self, end: End) -> None:
        for inbox in self._inboxes:
            inbox.close(end)

    async def _keep_pinging(self) -> None:
        while True:
            await asyncio.sleep(self._ping_seconds)
            for inbox in self._inboxes:
                inbox.ping()
            try:
                await self._turn_out()
            except Exception:
                # The database may be away for a moment; streams need it only here.
                log.exception("events.tokens_unknown")

    async def _turn_out(self) -> None:
        """A stream ends with the token that opened it."""
        token_ids = {inbox.token_id for inbox in self._inboxes if inbox.token_id is not None}
        if not token_ids or self._ended_tokens is None:
            return
        ended = await self._ended_tokens(token_ids)
        for inbox in self._inboxes:
            if inbox.token_id in ended:
                inbox.close(End.TOKEN_ENDED)

    async def _keep_reading(self) -> None:
        while True:
            try:
                await self._read()
            except EventsUnavailableError as error:
                self._lose(End.EVENTS_UNAVAILABLE, repr(error.__cause__ or error))
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                # One entry that can't be read must not end all streams for good.
                log.exception("events.reader_failed")
                self._lose(End.EVENTS_LOST, "the reader failed")
                await asyncio.sleep(RETRY_SECONDS)

    async def _read(self) -> None:
        """Tell what comes, until something was lost on the way."""
        position = await self.feed.position()
        epoch, after, added = position.epoch, position.last, position.added
        self.is_reading = True
        self._tried.set()
        while True:
            events = await self.feed.news(after)
            for event in events:
                if (event.epoch, event.added) != (epoch, added + 1):
                    return self._lose(End.EVENTS_LOST, "events were trimmed before they were read")
                after, added = event.id, event.added
                self._tell(event)
            if not events and await self._has_lost(epoch, added):
                return self._lose(End.EVENTS_LOST, "Redis was emptied")

    async def _has_lost(self, epoch: str, added: int) -> bool:
        """A Redis that was emptied, or that fell back to an older copy, sends nothing that shows it."""
        now = await self.feed.position()
        return now.epoch != epoch or now.added < added

    def _tell(self, event: Event) -> None:
        for inbox in self._inboxes:
            inbox.offer(event)

    def _lose(self, end: End, why: str) -> None:
        """Clients go on from their cursors, if they can."""
        if self.is_reading:
            log.warning("events.lost", reason=end.value, error=why, clients=len(self._inboxes))
        self.is_reading = False
        self._tried.set()
        self._close_all(end)
