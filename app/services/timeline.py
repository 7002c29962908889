"""The timeline of an import: what happened, and when."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.models.attempts import TimelineEntry, TimelineItem
from app.models.imports import VmImport


def note(session: AsyncSession, row: VmImport, kind: str, **details: Any) -> None:
    """Add an entry to the transaction. `details` are plain JSON values."""
    session.add(TimelineEntry(import_id=row.id, attempt=row.attempt, kind=kind, details=details))


async def page(
    session: AsyncSession, import_id: UUID, *, after: UUID | None, limit: int
) -> list[TimelineEntry]:
    """Entries in the order in which they happened."""
    statement = select(TimelineEntry).where(col(TimelineEntry.import_id) == import_id)
    if after is not None:
        statement = statement.where(col(TimelineEntry.id) > after)
    found = await session.execute(statement.order_by(col(TimelineEntry.id)).limit(limit))
    return list(found.scalars())


def public(entry: TimelineEntry) -> TimelineItem:
    return TimelineItem(at=entry.at, kind=entry.kind, attempt=entry.attempt, details=entry.details)
