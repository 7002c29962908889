"""A client of the event stream that comes back with its cursor, and the truth it is held against.

The truth is what lies in Redis, read beside the service. Between two snapshots the client must be told
exactly that, each event once and in order.
"""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import redis.asyncio
from redis.exceptions import RedisError

from tests.chaos.client import Client
from tests.support.sse import Reader, Told
from tests.support.waiting import until

RECONNECT_SECONDS = 0.2
SILENCE_SECONDS = 40
"""The service sends a comment every 15 s; a stream that is silent for longer leads nowhere."""
STATEFUL = frozenset({"import", "progress", "message"})


def _key(name: str, data: Any) -> str:
    text = json.dumps([name, data], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


Place = tuple[str, int]
"""Where an event lies: in which filling of Redis, and as the how manieth there."""


@dataclass(frozen=True)
class About:
    """What an event says of an import; of two of a kind, the one with the greater mark is newer."""

    kind: str
    import_id: str
    mark: tuple[float, ...]


def _about(name: str, data: Any) -> About:
    if name == "import":
        return About(name, data["id"], (data["version"],))
    if name == "progress":
        return About(name, data["import_id"], (data["attempt"], data["progress"]["percent"] or 0))
    return About(name, data["import_id"], ())


@dataclass
class Truth:
    """What was published, and where it lies."""

    places: dict[str, Place] = field(default_factory=dict)
    events: dict[Place, About] = field(default_factory=dict)
    last: Place | None = None

    def note(self, epoch: str, added: int, name: str, data: Any) -> None:
        self.places[_key(name, data)] = self.last = (epoch, added)
        self.events[self.last] = _about(name, data)


async def read_truth(url: str, truth: Truth) -> None:
    """Read the live stream as it grows, until cancelled."""
    client = redis.asyncio.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=5)
    position = "0-0"
    try:
        while True:
            try:
                found = await client.xread({"v2v:events": position}, block=500)
                if not found and not await client.exists("v2v:events"):
                    position = "0-0"
            except (RedisError, OSError):
                await asyncio.sleep(0.05)
                continue
            for _, entries in found:
                for entry_id, fields in entries:
                    position = entry_id.decode()
                    name, data = fields[b"type"].decode(), json.loads(fields[b"data"])
                    truth.note(fields[b"epoch"].decode(), int(fields[b"added"]), name, data)
    finally:
        await client.aclose()


@dataclass
class Segment:
    """What one client was told from one snapshot to the next."""

    keys: list[str] = field(default_factory=list)
    shown: dict[tuple[str, str], About] = field(default_factory=dict)
    """What the snapshot showed: nothing follows that isn't newer."""

    def show(self, snapshot: Any) -> None:
        for data in snapshot["imports"]:
            progress = {**data, "import_id": data["id"]}
            for about in (_about("import", data), _about("progress", progress)):
                self.shown[about.kind, about.import_id] = about

    def has_shown(self, about: About | None) -> bool:
        shown = about and self.shown.get((about.kind, about.import_id))
        return bool(shown and about and about.mark <= shown.mark)


class Witness:
    """Reads `GET /v1/events` for ever."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.segments = [Segment()]
        self.told = 0
        self.reconnects = 0
        self.progress_at: dict[str | None, float] = {}
        """When the last progress came, by the monotonic clock: by proxy host, and from any (None)."""
        self._hosts: dict[str, str | None] = {}
        self._cursor: str | None = None
        self._listeners: list[tuple[Callable[[Told], bool], asyncio.Event]] = []

    async def run(self) -> None:
        while True:
            with contextlib.suppress(httpx.TransportError, TimeoutError):
                await self._follow()
            self.reconnects += 1
            await asyncio.sleep(RECONNECT_SECONDS)

    async def until(self, condition: Callable[[Told], bool], *, seconds: float) -> bool:
        """Wait for an event that comes from now on; whether it came."""
        came = asyncio.Event()
        listener = (condition, came)
        self._listeners.append(listener)
        try:
            async with asyncio.timeout(seconds):
                await came.wait()
        except TimeoutError:
            return False
        finally:
            self._listeners.remove(listener)
        return True

    async def _follow(self) -> None:
        headers = {"Last-Event-ID": self._cursor} if self._cursor else {}
        timeout = httpx.Timeout(10, read=SILENCE_SECONDS)
        async with self._client.http.stream("GET", "/v1/events", headers=headers, timeout=timeout) as answer:
            if answer.status_code != httpx.codes.OK:
                return
            reader = Reader()
            async for data in answer.aiter_raw():
                for told in reader.feed(data):
                    self._hear(told)

    def _hear(self, told: Told) -> None:
        if told.id:
            self._cursor = told.id
        if told.name in {"snapshot", "resync"} and self.segments[-1].keys:
            self.segments.append(Segment())
        if told.name == "snapshot":
            self.segments[-1].show(told.data)
        if told.name in STATEFUL:
            self.told += 1
            self.segments[-1].keys.append(_key(told.name, told.data))
        self._note_progress(told)
        for condition, came in self._listeners:
            if condition(told):
                came.set()

    def _note_progress(self, told: Told) -> None:
        known = {"import": [told.data], "snapshot": told.data.get("imports", ())}.get(told.name, ())
        for data in known:
            self._hosts[data["id"]] = data["proxy_host_id"]
        if told.name == "progress":
            for host_id in (self._hosts.get(told.data["import_id"]), None):
                self.progress_at[host_id] = time.monotonic()

    async def catch_up(self, truth: Truth) -> None:
        """Wait until the newest event was told. Raises TimeoutError."""
        await until(lambda: truth.last == self._newest(truth), seconds=SILENCE_SECONDS)

    def _newest(self, truth: Truth) -> Place | None:
        keys = self.segments[-1].keys
        return truth.places.get(keys[-1]) if keys else None

    def faults(self, truth: Truth) -> list[str]:
        """What was lost, told twice, or out of order, as sentences."""
        return [text for segment in self.segments for text in _compare(segment, truth)]


def _compare(segment: Segment, truth: Truth) -> list[str]:
    found: list[str] = []
    before: Place | None = None
    for key in segment.keys:
        place = truth.places.get(key)
        if place is not None and before is not None and place[0] == before[0]:
            found += _between(segment, truth, before, place)
        # What isn't known was published and gone with its Redis before it could be read here.
        before = place
    return found


def _between(segment: Segment, truth: Truth, before: Place, place: Place) -> list[str]:
    """What is wrong with two events that a client was told one after the other."""
    epoch, number = before
    if place[1] <= number:
        return [f"event {place[1]} came again or late, after {number}: {truth.events[place]}"]
    missing = [(epoch, other) for other in range(number + 1, place[1])]
    lost = [one for one in missing if not segment.has_shown(truth.events.get(one))]
    return [f"event {one[1]} was never told: {truth.events.get(one)}" for one in lost]
