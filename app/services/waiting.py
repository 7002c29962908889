"""Waiting imports: their order, and what each one waits for."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.models.columns import now
from app.models.imports import QueueStatus, VmImport
from app.models.state import ImportState

AGEING_SECONDS = 600
"""How long an import waits until it counts as one priority higher: nobody starves."""


def rank(priority: int, waiting_since: datetime, at: datetime) -> float:
    """The greater, the sooner."""
    return priority + max((at - waiting_since).total_seconds(), 0) / AGEING_SECONDS


async def queue_statuses(session: AsyncSession, rows: Sequence[VmImport]) -> dict[UUID, QueueStatus]:
    """Position (from 1) and reason of those of the rows that wait."""
    waiting = {row.id: row for row in rows if row.state == ImportState.QUEUED}
    if not waiting:
        return {}
    at = now()
    statement = select(col(VmImport.id), col(VmImport.priority), col(VmImport.waiting_since)).where(
        col(VmImport.state) == ImportState.QUEUED
    )
    queued = [
        (-rank(priority, since, at), id_) for id_, priority, since in (await session.execute(statement)).all()
    ]
    positions = {id_: number for number, (_, id_) in enumerate(sorted(queued), start=1)}
    return {
        id_: QueueStatus(position=positions.get(id_, 1), reason=_why(row, at)) for id_, row in waiting.items()
    }


def _why(row: VmImport, at: datetime) -> str:
    if row.start_after is not None and row.start_after > at:
        return f"It is to start after {row.start_after.isoformat(timespec='seconds')}."
    return row.queue_reason or "It waits for its turn."
