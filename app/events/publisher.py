"""Publishes events to Redis, and reads the progress that is kept there."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from pydantic import ValidationError
from redis.exceptions import RedisError

from app import logs
from app.events import keys
from app.models.common import Json
from app.models.events import EventType, MessageEvent, ProgressEvent
from app.outages import Outage, within

PUBLISH_SECONDS: Final = 2.0
REPLAY_EVENTS: Final = 300
KEPT_SECONDS: Final = 3600
"""How long an ended import's events are kept: who comes back later gets a snapshot."""
MAX_CONNECTIONS: Final = 16
PROGRESS_MEMBERS: Final = ("progress", "disk_progress")
SCRIPT: Final = (Path(__file__).parent / "publish.lua").read_text(encoding="utf-8")

log = logs.get("events")


@dataclass(frozen=True)
class Kept:
    """What Redis knows of an import: the newest version that was told (0 = none), the newest progress."""

    version: int
    progress: ProgressEvent | None


@dataclass(frozen=True)
class _Told:
    """An event as the script takes it."""

    type: EventType
    mark: tuple[int, int]
    data: str
    ended: bool = False
    progress: Json = field(default_factory=dict)
    progress_mark: tuple[int, int] = (0, 0)


class Events:
    """Tells clients what happened. Never raises: events are a courtesy, the database is the truth."""

    def __init__(self, url: str, *, live_events: int) -> None:
        self._redis = keys.connect(url, timeout_seconds=PUBLISH_SECONDS, max_connections=MAX_CONNECTIONS)
        self._publish = self._redis.register_script(SCRIPT)
        self._live_events = live_events
        self._outage = Outage(PUBLISH_SECONDS)
        self._is_failing = False

    async def publish_import(
        self,
        import_id: UUID,
        *,
        version: int,
        ended: bool,
        labels: Mapping[str, str],
        data: Json,
        progress_mark: tuple[int, int],
    ) -> bool:
        """Tell an import's state. True when Redis has this version or a newer one, False without Redis.

        `progress_mark` is the (attempt, seq) of the progress in `data`; newer one that Redis has replaces it.
        """
        told = _Told(
            type=EventType.IMPORT,
            mark=(version, 0),
            data=_dump({name: value for name, value in data.items() if name not in PROGRESS_MEMBERS}),
            ended=ended,
            progress=_progress(data),
            progress_mark=progress_mark,
        )
        return await self._send(import_id, labels, told)

    async def publish_progress(self, event: ProgressEvent, *, labels: Mapping[str, str]) -> bool:
        """Tell progress and keep it; what isn't newer by (attempt, seq) or comes after the end is dropped."""
        data = event.model_dump(mode="json")
        mark = (event.attempt, event.seq)
        told = _Told(type=EventType.PROGRESS, mark=mark, data=_dump(data), progress=_progress(data))
        return await self._send(event.import_id, labels, told)

    async def publish_message(self, event: MessageEvent, *, offset: int, labels: Mapping[str, str]) -> bool:
        """Tell a message; `offset` is its place in the attempt's log, so that none is told twice."""
        told = _Told(EventType.MESSAGE, (event.attempt, offset), event.model_dump_json())
        return await self._send(event.import_id, labels, told)

    async def kept(self, import_ids: Sequence[UUID]) -> dict[UUID, Kept]:
        """What Redis knows of imports; empty without Redis."""
        if not import_ids or self._outage.is_on():
            return {}
        try:
            async with within(PUBLISH_SECONDS), self._redis.pipeline(transaction=False) as pipe:
                for import_id in import_ids:
                    pipe.hmget(keys.newest(import_id), ["import:major", "progress"])
                found: list[list[bytes | None]] = await pipe.execute()
        except (RedisError, OSError) as error:
            self._note(error)
            return {}
        self._note(None)
        return {import_id: _kept(*fields) for import_id, fields in zip(import_ids, found, strict=True)}

    async def forget(self, import_id: UUID) -> bool:
        """The import was deleted: remove what Redis keeps of it alone."""
        if self._outage.is_on():
            return False
        try:
            async with within(PUBLISH_SECONDS):
                await self._redis.delete(keys.replay(import_id), keys.newest(import_id))
        except (RedisError, OSError) as error:
            self._note(error)
            return False
        self._note(None)
        return True

    async def ping(self) -> bool:
        """Whether Redis answers."""
        if self._outage.is_on():
            return False
        try:
            async with within(PUBLISH_SECONDS):
                await self._redis.ping()
        except (RedisError, OSError) as error:
            self._note(error)
            return False
        self._note(None)
        return True

    async def close(self) -> None:
        await self._redis.aclose()

    async def _send(self, import_id: UUID, labels: Mapping[str, str], told: _Told) -> bool:
        if self._outage.is_on():
            return False
        names = [keys.LIVE, keys.replay(import_id), keys.newest(import_id), keys.STATE]
        limits: list[str | int] = [secrets.token_hex(8), self._live_events, REPLAY_EVENTS, KEPT_SECONDS]
        event: list[str | int] = [told.type.value, *told.mark, int(told.ended), str(import_id), _dump(labels)]
        about: list[str | int] = [told.data, _dump(told.progress)[1:-1], *told.progress_mark]
        try:
            async with within(PUBLISH_SECONDS):
                await self._publish(keys=names, args=[*limits, *event, *about])
        except (RedisError, OSError) as error:
            self._note(error)
            return False
        self._note(None)
        return True

    def _note(self, error: Exception | None) -> None:
        """Whether Redis answered. An outage is one line in the log, however much isn't told meanwhile."""
        if error is not None and not self._is_failing:
            log.warning("events.redis_failed", error=str(error) or type(error).__name__)
        if error is None and self._is_failing:
            log.info("events.redis_is_back")
        self._is_failing = error is not None
        self._outage.note(error)


def _kept(version: bytes | None, progress: bytes | None) -> Kept:
    return Kept(int(version or 0), _read_progress(progress) if progress else None)


def _read_progress(saved: bytes) -> ProgressEvent | None:
    """None for what another version of the program may have left there: the database has some, too."""
    try:
        return ProgressEvent.model_validate_json(saved)
    except ValidationError:
        return None


def _progress(data: Json) -> Json:
    return {name: data[name] for name in PROGRESS_MEMBERS if name in data}


def _dump(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
