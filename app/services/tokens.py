"""API tokens: made, checked, listed and revoked."""

from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import NotFoundError, UnauthorizedError
from app.models.columns import now
from app.models.damage import damage
from app.models.state import Role
from app.models.tokens import ApiToken, ApiTokenCreate, ApiTokenPublic
from app.secrets import hash_token, new_token

PREFIX: Final = "v2v"
SCHEME: Final = "bearer"


async def create(session: AsyncSession, body: ApiTokenCreate) -> tuple[ApiToken, str]:
    """A new token: its row, and the token itself, which is nowhere kept."""
    token = new_token(PREFIX)
    row = ApiToken(name=body.name, role=body.role, token_hash=hash_token(token), expires_at=body.expires_at)
    session.add(row)
    await session.flush()
    return row, token


async def authenticate(session: AsyncSession, authorization: str) -> ApiToken:
    """The token in an `Authorization: Bearer …` header. Raises UnauthorizedError."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != SCHEME or not token.strip():
        raise UnauthorizedError
    statement = select(ApiToken).where(col(ApiToken.token_hash) == hash_token(token.strip()))
    row = (await session.execute(statement)).scalar_one_or_none()
    if row is None or not is_valid(row):
        raise UnauthorizedError("The token is unknown, revoked or expired.")
    return row


def is_valid(token: ApiToken) -> bool:
    if damage(token):
        return False
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now())


async def get(session: AsyncSession, token_id: UUID) -> ApiToken:
    """Raises NotFoundError."""
    row = await session.get(ApiToken, token_id)
    if row is None:
        raise NotFoundError(f"There is no token {token_id}.")
    return row


async def get_locked(session: AsyncSession, token_id: UUID) -> ApiToken:
    """As `get`, and nobody else changes it until the transaction ends."""
    await session.get(ApiToken, token_id, with_for_update=True)
    return await get(session, token_id)


async def page(session: AsyncSession, *, before: UUID | None = None, limit: int = 100) -> list[ApiToken]:
    """Newest first; `before` is the last one of the page before."""
    statement = select(ApiToken).order_by(col(ApiToken.id).desc()).limit(limit)
    if before is not None:
        statement = statement.where(col(ApiToken.id) < before)
    return list((await session.execute(statement)).scalars())


async def revoke(session: AsyncSession, token_id: UUID) -> ApiToken:
    """The token opens nothing any more; revoking it again is fine. Raises NotFoundError."""
    row = await get_locked(session, token_id)
    if row.revoked_at is None:
        row.revoked_at = now()
        row.version += 1
    return row


async def exists(session: AsyncSession) -> bool:
    """Whether there is any token yet."""
    return (await session.execute(select(col(ApiToken.id)).limit(1))).first() is not None


def public(row: ApiToken) -> ApiTokenPublic:
    return ApiTokenPublic(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
