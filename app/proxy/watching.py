"""Reads what the agent's watch tells: the logs of followed attempts, their ends, signs of life."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import HostConnectionLostError
from app.proxy.agent_client import HostAgent, JobStatus
from app.proxy.base import Channel

SILENCE_SECONDS = 20.0
"""The agent beats every 2 s; so long a silence means that the connection is dead."""
LONGEST_HEADER_BYTES = 65_536


@dataclass(frozen=True)
class LogBytes:
    """Bytes of an attempt's log, from `offset` on."""

    attempt_id: UUID
    offset: int
    data: bytes


@dataclass(frozen=True)
class JobEnded:
    """The job has ended and all its bytes were told; once for each `follow`."""

    attempt_id: UUID
    status: JobStatus


@dataclass(frozen=True)
class Activity:
    """All bytes that the job's processes read and wrote since it was followed or before; it never falls."""

    attempt_id: UUID
    io_bytes: int


@dataclass(frozen=True)
class Beat:
    """The channel lives."""


Frame = LogBytes | JobEnded | Activity | Beat


class Following:
    """One watch on one proxy host: `async with Following(agent) as following`."""

    def __init__(self, agent: HostAgent) -> None:
        self._agent = agent
        self._context: AbstractAsyncContextManager[Channel] | None = None
        self._channel: Channel | None = None

    async def __aenter__(self) -> Self:
        """Raises HostError subclasses."""
        await self._agent.ready()
        self._context = self._agent.watch()
        self._channel = await self._context.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._context is not None:
            await self._context.__aexit__(kind, error, trace)

    async def follow(self, attempt_id: UUID, offset: int) -> None:
        """Tell the attempt's log from this offset on, then its end. Raises HostConnectionLostError."""
        await self._say(follow=str(attempt_id), offset=offset)

    async def unfollow(self, attempt_id: UUID) -> None:
        """Tell no more of it; what is on its way may still come. Raises HostConnectionLostError."""
        await self._say(unfollow=str(attempt_id))

    async def _say(self, **command: str | int) -> None:
        await self._open().send(json.dumps(command).encode() + b"\n")

    async def frames(self) -> AsyncIterator[Frame]:
        """Raises HostConnectionLostError, also after a long silence; it never ends by itself."""
        reader = FrameReader()
        chunks = self._open().chunks()
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    data = await anext(chunks)
            except TimeoutError as error:
                raise HostConnectionLostError(f"Nothing was heard for {SILENCE_SECONDS:g} s.") from error
            except StopAsyncIteration:
                raise HostConnectionLostError("The watch on the proxy host ended.") from None
            for frame in reader.feed(data):
                yield frame

    def _open(self) -> Channel:
        if self._channel is None:
            raise HostConnectionLostError("The watch is not open.")
        return self._channel


class _Header(BaseModel):
    """The line before a frame's bytes."""

    model_config = ConfigDict(frozen=True)

    kind: str
    size: int
    attempt_id: UUID = UUID(int=0)
    offset: int = 0
    io_bytes: int = 0
    status: JobStatus | None = None


class FrameReader:
    """Bytes to frames, however the bytes are cut."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._header: _Header | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now. Raises HostConnectionLostError for what is no frame."""
        self._unread += data
        frames: list[Frame] = []
        while (header := self._next_header()) is not None and len(self._unread) >= header.size:
            body = bytes(self._unread[: header.size])
            del self._unread[: header.size]
            self._header = None
            frames.append(_frame(header, body))
        return frames

    def _next_header(self) -> _Header | None:
        if self._header is None:
            line, end, rest = self._unread.partition(b"\n")
            if len(line) > LONGEST_HEADER_BYTES:
                raise HostConnectionLostError("The watch on the proxy host wrote something else than frames.")
            if end:
                self._unread = rest
                self._header = _parsed(bytes(line))
        return self._header


def _parsed(line: bytes) -> _Header:
    try:
        return _Header.model_validate_json(line)
    except ValidationError as error:
        raise HostConnectionLostError(
            "The watch on the proxy host wrote something else than frames."
        ) from error


def _frame(header: _Header, body: bytes) -> Frame:
    if header.kind == "log":
        return LogBytes(header.attempt_id, header.offset, body)
    if header.kind == "ended" and header.status is not None:
        return JobEnded(header.attempt_id, header.status)
    if header.kind == "activity":
        return Activity(header.attempt_id, header.io_bytes)
    return Beat()
