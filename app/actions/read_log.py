"""Reads a kept log piece by piece, so that no slow reader holds a transaction open."""

from collections.abc import AsyncIterator
from typing import Final

from app.db import Database
from app.services import log_chunks
from app.services.log_chunks import KeptLog

WINDOW_BYTES: Final = 512 * 1024


async def read_log(database: Database, log: KeptLog, start: int, end: int) -> AsyncIterator[bytes]:
    """Bytes [start, end) of the log."""
    for position in range(start, end, WINDOW_BYTES):
        last = min(position + WINDOW_BYTES, end)
        async with database.reading() as session:
            data = b"".join([piece async for piece in log_chunks.read(session, log, position, last)])
        yield data
