"""A publisher and a hub on a Redis of the test's own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.events import Events
from app.events.cursor import Cursor
from app.events.hub import EventsHub
from app.events.inbox import EventFilter
from app.events.streams import Shown, Wish, has_ended, stream
from app.models.columns import now
from app.models.events import MessageEvent, ProgressEvent, Severity
from app.models.progress import Progress
from tests.support.redis import RedisServer
from tests.support.sse import Listener
from tests.support.waiting import until


class Stage:
    """Publishes events of imports that live in memory, and listens to streams of them."""

    def __init__(self, url: str, hub: EventsHub, *, live_events: int) -> None:
        self.events = Events(url, live_events=live_events)
        self.hub = hub
        self.imports: dict[UUID, Shown] = {}
        self.stack = AsyncExitStack()

    async def change(
        self, import_id: UUID, version: int, *, ended: bool = False, told: bool = True, **labels: str
    ) -> None:
        """The import changes in the database; with `told`, clients hear of it."""
        data = {"id": str(import_id), "version": version}
        self.imports[import_id] = Shown(
            import_id, version, (0, 0), ended, told, f'{{"id":"{import_id}","version":{version}}}'
        )
        if told:
            assert await self.publish(import_id, version, ended=ended, labels=labels, data=data)

    async def publish(
        self, import_id: UUID, version: int, *, ended: bool, labels: dict[str, str], data: dict[str, Any]
    ) -> bool:
        return await self.events.publish_import(
            import_id, version=version, ended=ended, labels=labels, data=data, progress_mark=(1, 0)
        )

    async def advance(self, import_id: UUID, seq: int, *, attempt: int = 1, **labels: str) -> None:
        event = ProgressEvent(
            import_id=import_id,
            attempt=attempt,
            seq=seq,
            at=now(),
            progress=Progress(percent=seq),
            disk_progress=(),
        )
        assert await self.events.publish_progress(event, labels=labels)

    async def say(self, import_id: UUID, offset: int, text: str) -> None:
        event = MessageEvent(
            import_id=import_id, attempt=1, at=now(), severity=Severity.INFO, code=None, text=text
        )
        assert await self.events.publish_message(event, offset=offset, labels={})

    def wish(self, *, cursor: str | None = None, only: UUID | None = None, **wanted: Any) -> Wish:
        shown = self.imports.get(only) if only else None
        return Wish(
            wanted=EventFilter(**wanted, **({"import_ids": frozenset({only})} if only else {})),
            snapshot=lambda: self.snapshot(only),
            cursor=Cursor.parse(cursor) if cursor else None,
            only=only,
            ended_version=shown.version if shown and shown.ended else None,
        )

    async def snapshot(self, only: UUID | None) -> AsyncIterator[list[Shown]]:
        shown = [one for one in self.imports.values() if only in {None, one.import_id}]
        yield shown[:2]
        for start in range(2, len(shown), 2):
            yield shown[start : start + 2]

    async def listen(self, *, cursor: str | None = None, only: UUID | None = None, **wanted: Any) -> Listener:
        """A client's stream; closed at the end of the test."""
        chunks = stream(self.hub, self.wish(cursor=cursor, only=only, **wanted))
        self.stack.push_async_callback(chunks.aclose)
        return Listener(chunks)

    async def is_over(self, *, cursor: str | None, only: UUID) -> bool:
        return await has_ended(self.hub, self.wish(cursor=cursor, only=only))

    async def begin(self) -> tuple[Listener, str]:
        """A client that has its snapshot, and the cursor that came with it."""
        listener = await self.listen()
        while True:
            told = await listener.next()
            if told.name == "snapshot" and told.data["complete"]:
                return listener, told.id


@pytest.fixture
def live_events() -> int:
    """How many events the live stream holds."""
    return 10_000


@pytest.fixture
async def stage(redis_server: RedisServer, live_events: int) -> AsyncIterator[Stage]:
    hub = EventsHub(redis_server.url, ping_seconds=15)
    made = Stage(redis_server.url, hub, live_events=live_events)
    await hub.start()
    await until(lambda: hub.is_reading)
    async with made.stack:
        yield made
    await hub.close()
    await made.events.close()


@pytest.fixture
def import_id() -> UUID:
    return uuid4()
