"""Idempotency keys: a POST that is sent again gets the answer that the first one got."""

import base64
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db import Database
from app.errors import IdempotencyKeyReusedError, UnauthorizedError
from app.models.columns import now
from app.models.idempotency import IdempotencyRecord
from app.secrets import Sealer
from app.services import tokens


@dataclass(frozen=True)
class Claim:
    """One key of one token on one method and path, and the body that it came with."""

    token_id: UUID
    method: str
    path: str
    key: str
    body_hash: str
    lifetime_seconds: float

    @property
    def context(self) -> str:
        """Binds the sealed answer to its row."""
        return f"idempotency_records:{self.token_id}:{self.method}:{self.path}:{self.key}"


class KeptAnswer(Exception):  # noqa: N818  # it ends the work, but it is no error
    """The answer that is kept for a key; raised where the work would begin again."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__()
        self.status, self.headers, self.body = status, headers, body


async def token_id(database: Database, authorization: str) -> UUID | None:
    """The token in an Authorization header; None when it is refused, which is for the route to say."""
    try:
        async with database.reading() as session:
            return (await tokens.authenticate(session, authorization)).id
    except UnauthorizedError:
        return None


async def claim(session: AsyncSession, wanted: Claim, sealer: Sealer) -> None:
    """Hold the key until the transaction ends: another request with it waits here.

    Raises KeptAnswer when it was used before, IdempotencyKeyReusedError when the body was another.
    """
    if not await take(session, wanted, sealer):
        # Only work without a transaction leaves a row without an answer, and that is on another path.
        raise IdempotencyKeyReusedError("The first request with this key still runs.")


async def take(session: AsyncSession, wanted: Claim, sealer: Sealer) -> bool:
    """Make the key ours. False: another request holds it and has no answer yet.

    Raises KeptAnswer, IdempotencyKeyReusedError.
    """
    await session.execute(delete(IdempotencyRecord).where(_is(wanted), _is_old(wanted)))
    try:
        async with session.begin_nested():
            session.add(
                IdempotencyRecord(
                    token_id=wanted.token_id,
                    method=wanted.method,
                    path=wanted.path,
                    key=wanted.key,
                    body_hash=wanted.body_hash,
                )
            )
    except IntegrityError:
        return await _used(session, wanted, sealer)
    return True


async def _used(session: AsyncSession, wanted: Claim, sealer: Sealer) -> bool:
    found = (await session.execute(select(IdempotencyRecord).where(_is(wanted)))).scalar_one_or_none()
    if found is None:
        return False
    if found.body_hash != wanted.body_hash:
        raise IdempotencyKeyReusedError
    if found.answer is None:
        return False
    answer: dict[str, Any] = json.loads(sealer.open_bytes(found.answer, wanted.context))
    raise KeptAnswer(found.status or 200, answer["headers"], base64.b64decode(answer["body"]))


async def keep(session: AsyncSession, wanted: Claim, answer: KeptAnswer, sealer: Sealer) -> None:
    """Keep the answer, sealed: it may hold a token."""
    body = base64.b64encode(answer.body).decode()
    sealed = sealer.seal_bytes(json.dumps({"headers": answer.headers, "body": body}).encode(), wanted.context)
    values = {"status": answer.status, "answer": sealed}
    await session.execute(update(IdempotencyRecord).where(_is(wanted)).values(values))


async def give_up(session: AsyncSession, wanted: Claim) -> None:
    """The work failed: the key may be used again."""
    await session.execute(
        delete(IdempotencyRecord).where(_is(wanted), col(IdempotencyRecord.answer).is_(None))
    )


async def purge(session: AsyncSession, lifetime_seconds: float) -> None:
    """Forget what is older than keys live."""
    oldest = now() - timedelta(seconds=lifetime_seconds)
    await session.execute(delete(IdempotencyRecord).where(col(IdempotencyRecord.created_at) < oldest))


ABANDONED_SECONDS = 600.0
"""Work without a transaction that has no answer after so long died with its process."""


def _is(wanted: Claim) -> ColumnElement[bool]:
    return and_(
        col(IdempotencyRecord.token_id) == wanted.token_id,
        col(IdempotencyRecord.method) == wanted.method,
        col(IdempotencyRecord.path) == wanted.path,
        col(IdempotencyRecord.key) == wanted.key,
    )


def _is_old(wanted: Claim) -> ColumnElement[bool]:
    at = now()
    made = col(IdempotencyRecord.created_at)
    is_abandoned = and_(
        col(IdempotencyRecord.answer).is_(None), made < at - timedelta(seconds=ABANDONED_SECONDS)
    )
    return (made < at - timedelta(seconds=wanted.lifetime_seconds)) | is_abandoned
