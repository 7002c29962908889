"""The kept log: appended, trimmed in the middle, read by ranges."""

import os
from uuid import UUID

import pytest
from sqlalchemy import select

from app.db import Database
from app.models.attempts import LogChunk
from app.services import log_chunks
from tests.support.rows import Site

KIB = 1024


@pytest.fixture
async def attempt_id(database: Database) -> UUID:
    site = await Site(database).build()
    import_id = await site.queue()
    await site.admit()
    return (await site.attempt(import_id)).id


async def _append(database: Database, attempt_id: UUID, *pieces: bytes, cap_bytes: int = 2**30) -> None:
    async with database.session() as session:
        kept = 0
        for piece in pieces:
            await log_chunks.append(session, attempt_id, kept, piece)
            kept += len(piece)
            await log_chunks.trim(session, attempt_id, kept_bytes=kept, cap_bytes=cap_bytes)


async def _read(database: Database, attempt_id: UUID, start: int = 0, end: int = 2**40) -> bytes:
    async with database.reading() as session:
        log = await log_chunks.kept(session, attempt_id)
        return b"".join([piece async for piece in log_chunks.read(session, log, start, end)])


async def test_what_was_appended_is_read_back(database: Database, attempt_id: UUID) -> None:
    await _append(database, attempt_id, b"one\n", b"two\n", b"three\n")
    assert await _read(database, attempt_id) == b"one\ntwo\nthree\n"


@pytest.mark.parametrize(("start", "end"), [(0, 1), (3, 5), (4, 4), (5, 13), (12, 99), (50, 60)])
async def test_any_range_is_the_same_as_a_slice(
    database: Database, attempt_id: UUID, start: int, end: int
) -> None:
    text = b"one\ntwo\nthree"
    await _append(database, attempt_id, text[:4], text[4:8], text[8:])
    assert await _read(database, attempt_id, start, end) == text[start:end]


async def test_chunks_hold_64_kib_at_most_and_are_compressed(database: Database, attempt_id: UUID) -> None:
    text = b"the same line again and again\n" * 6000
    await _append(database, attempt_id, text)
    async with database.reading() as session:
        chunks = (await session.execute(select(LogChunk))).scalars().all()
    assert max(chunk.length for chunk in chunks) == 64 * KIB
    assert sum(len(chunk.data) for chunk in chunks) < len(text) / 10
    assert await _read(database, attempt_id) == text


async def test_a_long_log_keeps_its_head_and_its_tail(database: Database, attempt_id: UUID) -> None:
    pieces = [os.urandom(KIB) for _ in range(64)]
    await _append(database, attempt_id, *pieces, cap_bytes=16 * KIB)
    text = await _read(database, attempt_id)
    assert text[: 8 * KIB] == b"".join(pieces)[: 8 * KIB]
    assert text[-8 * KIB :] == b"".join(pieces)[-8 * KIB :]
    assert len(text) <= 18 * KIB


async def test_the_size_is_that_of_the_text(database: Database, attempt_id: UUID) -> None:
    await _append(database, attempt_id, *[os.urandom(KIB) for _ in range(64)], cap_bytes=16 * KIB)
    async with database.reading() as session:
        log = await log_chunks.kept(session, attempt_id)
    assert log.size_bytes == len(await _read(database, attempt_id))


@pytest.mark.parametrize("data", [b"garbage", b"", b"x\x9c\x03\x00\x00\x00\x00\x01"])
async def test_a_piece_that_can_t_be_read_keeps_its_place(
    database: Database, attempt_id: UUID, data: bytes
) -> None:
    await _append(database, attempt_id, b"a" * 100, b"b" * 100, b"c" * 100)
    async with database.session() as session:
        broken = await session.get_one(LogChunk, (attempt_id, 100))
        broken.data = data
    whole = await _read(database, attempt_id)
    assert (len(whole), whole[:100], whole[200:]) == (300, b"a" * 100, b"c" * 100)
    assert await _read(database, attempt_id, 190, 210) == whole[190:210]
