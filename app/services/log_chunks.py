"""The kept log of an attempt: compressed chunks, head and tail of a long one, read by ranges."""

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.models.attempts import LogChunk

CHUNK_BYTES = 64 * 1024
LOST = b"[This piece of the log can't be read any more.]"


@dataclass(frozen=True)
class KeptLog:
    """Which pieces of a log are kept: (offset, length) in order. What lies between two was left out."""

    attempt_id: UUID
    pieces: tuple[tuple[int, int], ...]

    @property
    def size_bytes(self) -> int:
        """The length of the text that `read` gives: the pieces, one after the other."""
        return sum(length for _, length in self.pieces)


async def append(session: AsyncSession, attempt_id: UUID, offset: int, data: bytes) -> None:
    """Keep `data`, which begins at `offset` of the kept log; what was kept before is left as it is."""
    for start in range(0, len(data), CHUNK_BYTES):
        piece = data[start : start + CHUNK_BYTES]
        session.add(
            LogChunk(
                attempt_id=attempt_id,
                offset=offset + start,
                length=len(piece),
                data=zlib.compress(piece),
            )
        )
    await session.flush()


async def trim(session: AsyncSession, attempt_id: UUID, *, kept_bytes: int, cap_bytes: int) -> None:
    """Keep at most about `cap_bytes`: the head and the tail, a half each."""
    if kept_bytes <= cap_bytes:
        return
    half = cap_bytes // 2
    await session.execute(
        delete(LogChunk).where(
            col(LogChunk.attempt_id) == attempt_id,
            col(LogChunk.offset) >= half,
            col(LogChunk.offset) + col(LogChunk.length) <= kept_bytes - half,
        )
    )


async def kept(session: AsyncSession, attempt_id: UUID) -> KeptLog:
    statement = (
        select(col(LogChunk.offset), col(LogChunk.length))
        .where(col(LogChunk.attempt_id) == attempt_id)
        .order_by(col(LogChunk.offset))
    )
    found = await session.execute(statement)
    return KeptLog(attempt_id, tuple((offset, length) for offset, length in found.all()))


async def read(session: AsyncSession, log: KeptLog, start: int, end: int) -> AsyncIterator[bytes]:
    """Bytes [start, end) of the text, a chunk at a time."""
    position = 0
    for offset, length in log.pieces:
        first, last = max(start - position, 0), min(end - position, length)
        position += length
        if first >= last:
            continue
        chunk = await session.get(LogChunk, (log.attempt_id, offset))
        if chunk is not None:
            yield _text(chunk)[first:last]


def _text(chunk: LogChunk) -> bytes:
    """As long as it was, also when it can't be read: what follows keeps its place."""
    try:
        return zlib.decompress(chunk.data, bufsize=chunk.length)[: chunk.length].ljust(chunk.length)
    except zlib.error:
        return LOST[: chunk.length].ljust(chunk.length - 1) + b"\n"[: chunk.length]
