"""Follows the events of one import across lost connections and restarts of the service."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx

from app.cli.client import LostError, Service, local_problem
from app.cli.exits import ENDED
from app.cli.output import Json
from app.cli.sse import EventReader

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 5.0
GIVE_UP_SECONDS = 600
"""How long a lost connection is tried again."""


@dataclass(frozen=True)
class Event:
    """`kind` is the event's name in the stream; `cursor` goes on behind it."""

    kind: str
    cursor: str | None
    data: Json

    def imports(self) -> list[Json]:
        """The whole imports that the event carries."""
        if self.kind == "snapshot":
            found: list[Json] = self.data["imports"]
            return found
        return [self.data] if self.kind == "import" else []

    def is_last(self) -> bool:
        return any(document["state"] in ENDED for document in self.imports())


class Follower:
    """One import's events, each once and in order, until the import has ended."""

    def __init__(
        self,
        service: Service,
        import_id: str,
        *,
        lost: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`lost` is told, once each time, that the connection broke and why."""
        self._service = service
        self._path = f"/v1/imports/{import_id}"
        self._tell_lost = lost
        self._sleep = sleep
        self._clock = clock
        self._cursor: str | None = None
        self._lost_at: float | None = None
        self._wait_seconds = FIRST_WAIT_SECONDS

    def events(self) -> Iterator[Event]:
        """Raises ProblemError when the stream is refused or stays lost for too long."""
        while True:
            try:
                for event in self._connected():
                    yield event
                    if event.is_last():
                        return
            except LostError as error:
                self._note_loss(str(error))
            self._sleep(self._wait_seconds)
            self._wait_seconds = min(self._wait_seconds * 2, LONGEST_WAIT_SECONDS)

    def _connected(self) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream"}
        if self._cursor is not None:
            headers["Last-Event-ID"] = self._cursor
        with self._service.stream(f"{self._path}/events", headers) as response:
            if response.status_code == httpx.codes.NO_CONTENT:
                # Nothing follows the cursor: the import has ended, and this is how.
                yield Event("import", self._cursor, self._service.get(self._path))
                return
            yield from self._events_of(response)

    def _events_of(self, response: httpx.Response) -> Iterator[Event]:
        reader = EventReader()
        for piece in response.iter_raw():
            self._found()
            for raw in reader.feed(piece):
                self._cursor = raw.id or self._cursor
                yield Event(raw.event, self._cursor, json.loads(raw.data))
                if raw.event == "bye":
                    return

    def _found(self) -> None:
        self._lost_at = None
        self._wait_seconds = FIRST_WAIT_SECONDS

    def _note_loss(self, why: str) -> None:
        now = self._clock()
        if self._lost_at is None:
            self._lost_at = now
            self._tell_lost(why)
        elif now - self._lost_at > GIVE_UP_SECONDS:
            raise local_problem(
                "service_unreachable",
                "The service can't be reached",
                f"{self._service.url}: {why}",
                "The import goes on by itself; watch it again later.",
            )
