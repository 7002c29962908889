"""Server-sent events as a client reads them."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Told:
    """One event, as EventSource would dispatch it."""

    name: str
    id: str
    data: Any


class Reader:
    """Turns bytes into events; comments are counted, `retry:` is kept."""

    def __init__(self) -> None:
        self.pings = 0
        self.retry: int | None = None
        self._rest = b""

    def feed(self, data: bytes) -> list[Told]:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        return [told for block in blocks if (told := self._read(block.decode())) is not None]

    def _read(self, block: str) -> Told | None:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        if "retry" in fields:
            self.retry = int(fields["retry"])
        if "" in fields or block.startswith(":"):
            self.pings += 1
        if "event" not in fields:
            return None
        return Told(fields["event"], fields["id"], json.loads(fields["data"]))


class Listener:
    """Follows a stream's bytes and hands out its events one by one."""

    def __init__(self, chunks: AsyncGenerator[bytes, None] | AsyncIterator[bytes]) -> None:
        self.reader = Reader()
        self._chunks = chunks
        self._told: list[Told] = []

    async def next(self, *, seconds: float = 20) -> Told:
        """The next event. Raises TimeoutError, and EOFError at the end of the stream."""
        async with asyncio.timeout(seconds):
            while not self._told:
                try:
                    self._told += self.reader.feed(await anext(self._chunks))
                except StopAsyncIteration as error:
                    raise EOFError from error
        return self._told.pop(0)

    async def rest(self, *, seconds: float = 20) -> list[Told]:
        """All events up to the end of the stream."""
        found: list[Told] = []
        while True:
            try:
                found.append(await self.next(seconds=seconds))
            except EOFError:
                return found
