"""This installation's id: what marks, on other machines, that something is ours."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db import Database
from app.models.installation import Installation


async def current_id(session: AsyncSession) -> UUID:
    return (await session.execute(select(col(Installation.id)))).scalar_one()


async def read_id(database: Database) -> UUID:
    """The same, in a transaction of its own."""
    async with database.reading() as session:
        return await current_id(session)
