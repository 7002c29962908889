"""Makes, lists and revokes tokens in the database itself: heavy to load, so only `token …` loads it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from pydantic import ValidationError

from app.db import Database
from app.errors import ConflictError, FieldError, NotFoundError, UnavailableError, UnprocessableError
from app.models.columns import now
from app.models.state import Role
from app.models.tokens import ApiTokenCreate, ApiTokenCreated, ApiTokenPublic
from app.services import tokens
from app.settings import Settings

T = TypeVar("T")


def create(settings: Settings, name: str, role: str, expires_in_days: int | None) -> ApiTokenCreated:
    """A new token, with the token itself. Raises AppError."""
    expires_at = None if expires_in_days is None else now() + timedelta(days=expires_in_days)
    try:
        body = ApiTokenCreate(name=name, role=Role(role), expires_at=expires_at)
    except ValidationError as error:
        raise UnprocessableError(errors=tuple(_faults(error))) from error

    async def action(database: Database) -> ApiTokenCreated:
        async with database.session() as session:
            row, token = await tokens.create(session, body)
            return ApiTokenCreated(**tokens.public(row).model_dump(), token=token)

    return _in_database(settings, action)


def _faults(error: ValidationError) -> Iterator[FieldError]:
    for fault in error.errors():
        pointer = "".join(f"/{part}" for part in fault["loc"])
        yield FieldError(pointer=pointer, code=fault["type"], detail=fault["msg"])


def all_tokens(settings: Settings) -> list[ApiTokenPublic]:
    """Newest first. Raises AppError."""
    return _in_database(settings, _all)


def revoke(settings: Settings, name_or_id: str) -> ApiTokenPublic:
    """A name must fit one token that is not revoked yet. Raises NotFoundError, ConflictError."""

    async def action(database: Database) -> ApiTokenPublic:
        chosen = _only(await _all(database), name_or_id)
        async with database.session() as session:
            return tokens.public(await tokens.revoke(session, chosen.id))

    return _in_database(settings, action)


def _only(found: list[ApiTokenPublic], name_or_id: str) -> ApiTokenPublic:
    fitting = [
        token
        for token in found
        if str(token.id) == name_or_id.lower() or (token.name == name_or_id and token.revoked_at is None)
    ]
    if not fitting:
        raise NotFoundError(f"There is no token {name_or_id!r} that could be revoked.")
    if len(fitting) > 1:
        ids = ", ".join(str(token.id) for token in fitting)
        raise ConflictError(f"{name_or_id!r} names the tokens {ids}.", hint="Give the id.")
    return fitting[0]


async def _all(database: Database) -> list[ApiTokenPublic]:
    found: list[ApiTokenPublic] = []
    before: UUID | None = None
    async with database.reading() as session:
        while rows := await tokens.page(session, before=before):
            found += [tokens.public(row) for row in rows]
            before = rows[-1].id
    return found


def _in_database(settings: Settings, action: Callable[[Database], Awaitable[T]]) -> T:
    if settings.database_url is None and not settings.data_dir.is_dir():
        raise NotFoundError(
            f"There is no data directory {settings.data_dir}.",
            hint="Give --data-dir or V2V_IMPORT_DATABASE_URL, or start `v2v-import up` first.",
        )
    return asyncio.run(_acted(settings.resolved_database_url(), action))


async def _acted(url: str, action: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(url)
    try:
        await database.check_schema()
        return await action(database)
    except OSError as error:
        raise UnavailableError(f"The database can't be reached: {error}") from error
    finally:
        await database.close()
