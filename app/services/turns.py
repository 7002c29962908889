"""Turns: claim an import, read and save it only while the claim holds, call for the next one."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import FencedError
from app.models.columns import now
from app.models.imports import VmImport
from app.models.state import ENDED, LIVE

DUE_AT_ONCE = 500


async def locked(session: AsyncSession, import_id: UUID) -> VmImport | None:
    """The import's row, held by this transaction, as it is now in the database."""
    statement = select(VmImport).where(col(VmImport.id) == import_id).with_for_update()
    return (await session.execute(statement.execution_options(populate_existing=True))).scalar_one_or_none()


async def claim(session: AsyncSession, import_id: UUID, worker_id: UUID) -> VmImport | None:
    """The row with a turn of its own; None when there is nothing to do or another turn runs.

    A call that finds another turn running is kept in `wakes`, so that it isn't lost.
    """
    row = await locked(session, import_id)
    if row is None or row.state in ENDED:
        return None
    if row.worker_id is not None:
        row.wakes += 1
        return None
    row.worker_id, row.wake_at = worker_id, None
    row.turn += 1
    return row


async def held(session: AsyncSession, import_id: UUID, turn: int) -> VmImport:
    """The row, held by this transaction, if the turn is still the newest. Raises FencedError."""
    row = await locked(session, import_id)
    if row is None or row.turn != turn or row.worker_id is None:
        raise FencedError(f"Turn {turn} of import {import_id} was taken over.")
    return row


async def release(
    session: AsyncSession, import_id: UUID, turn: int, *, seen_wakes: int, next_at: datetime | None
) -> bool:
    """End the turn. True: the next one is to begin at once, for a call came while this one ran."""
    row = await held(session, import_id, turn)
    row.worker_id = None
    if row.state in ENDED:
        return False
    called = row.wakes != seen_wakes
    row.wake_at = now() if called else next_at
    return called


async def call(session: AsyncSession, import_id: UUID) -> None:
    """Ask for a turn: now if none runs, else after it. The queue only makes it quicker."""
    row = await locked(session, import_id)
    if row is not None and row.state in LIVE:
        row.wakes += 1
        row.wake_at = now()


async def due(session: AsyncSession, at: datetime) -> list[UUID]:
    """Imports whose turn should have begun by then."""
    statement = (
        select(col(VmImport.id))
        .where(
            col(VmImport.state).in_(LIVE),
            col(VmImport.wake_at) <= at,
            col(VmImport.worker_id).is_(None),
        )
        .order_by(col(VmImport.wake_at))
        .limit(DUE_AT_ONCE)
    )
    return list((await session.execute(statement)).scalars())


def after(seconds: float) -> datetime:
    return now() + timedelta(seconds=seconds)
