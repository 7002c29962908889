"""Stream tickets: let a browser's EventSource, which can't send a header, open the streams of one path."""

import re
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import FieldError, UnauthorizedError, UnprocessableError
from app.models.columns import now
from app.models.tokens import STREAM_PATH, ApiToken, StreamTicket, StreamTicketCreated
from app.secrets import hash_token, new_token
from app.services import tokens

PREFIX: Final = "v2vs"
_STREAMS: Final = re.compile(STREAM_PATH, re.ASCII)


def stream_path(path: str) -> str:
    """The path of an event stream, without the query part that a page may have put there.

    Raises UnprocessableError for any other path.
    """
    bare = path.partition("?")[0]
    if _STREAMS.fullmatch(bare):
        return bare.lower()
    detail = "A ticket is for the path of an event stream, such as `/v1/events`."
    raise UnprocessableError(
        detail, errors=(FieldError(pointer="/path", code="not_a_stream", detail=detail),)
    )


async def create(
    session: AsyncSession, token_id: UUID, path: str, *, lifetime_seconds: float
) -> StreamTicketCreated:
    """A ticket for one path; it ends with its lifetime or its token's. Raises UnprocessableError."""
    bare = stream_path(path)
    await session.execute(delete(StreamTicket).where(col(StreamTicket.expires_at) <= now()))
    token = await session.get_one(ApiToken, token_id)
    expires_at = now() + timedelta(seconds=lifetime_seconds)
    if token.expires_at is not None:
        expires_at = min(expires_at, token.expires_at)
    ticket = new_token(PREFIX)
    session.add(
        StreamTicket(ticket_hash=hash_token(ticket), token_id=token_id, path=bare, expires_at=expires_at)
    )
    return StreamTicketCreated(ticket=ticket, expires_at=expires_at)


async def token_of(session: AsyncSession, ticket: str, path: str) -> ApiToken:
    """The token that a ticket stands for on this path. Raises UnauthorizedError."""
    statement = (
        select(StreamTicket, ApiToken)
        .join(ApiToken, col(ApiToken.id) == col(StreamTicket.token_id))
        .where(col(StreamTicket.ticket_hash) == hash_token(ticket))
    )
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise UnauthorizedError("There is no such ticket.")
    saved, token = found
    if saved.path != path.lower():
        raise UnauthorizedError("The ticket is for another path.")
    if saved.expires_at <= now() or not tokens.is_valid(token):
        raise UnauthorizedError("The ticket or its token has ended.")
    return token


async def ended_tokens(session: AsyncSession, token_ids: set[UUID]) -> set[UUID]:
    """Those that are good no longer; what is not there any more is not good."""
    found = (await session.execute(select(ApiToken).where(col(ApiToken.id).in_(token_ids)))).scalars()
    return token_ids - {token.id for token in found if tokens.is_valid(token)}
