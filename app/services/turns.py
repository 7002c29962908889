"""Turns: claim an import, read and save it only while the claim holds, call for the next one."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import FencedError
from app.models.columns import now
from app.models.imports import Direction, VmImport
from app.models.state import ENDED, LIVE, ImportState

LONGEST_WAIT = timedelta(minutes=5)
"""No turn is put off for longer. One that lies further ahead was put off by a wrong clock: it is due."""


async def locked(session: AsyncSession, import_id: UUID) -> VmImport | None:
    """The import's row, held by this transaction, as it is now in the database."""
    statement = select(VmImport).where(col(VmImport.id) == import_id).with_for_update()
    return (await session.execute(statement.execution_options(populate_existing=True))).scalar_one_or_none()


async def claim(session: AsyncSession, import_id: UUID, worker_id: UUID) -> VmImport | None:
    """The row with a turn of its own; None when there is nothing to do or another turn runs.

    A call that finds another turn running is kept in `wakes`, so that it isn't lost. An import that waits
    for admission has no turns.
    """
    row = await locked(session, import_id)
    if row is None or row.state in ENDED or waits(row):
        return None
    if row.worker_id is not None:
        row.wakes += 1
        return None
    row.worker_id, row.wake_at = worker_id, None
    row.turn += 1
    return row


def waits(row: VmImport) -> bool:
    """Whether the import waits for admission: in the queue, or between two attempts."""
    is_between = row.state == ImportState.RUNNING and row.next_attempt_at is not None
    return row.direction == Direction.FORWARD and (row.state == ImportState.QUEUED or is_between)


async def is_waiting(session: AsyncSession, import_id: UUID) -> bool:
    row = await session.get(VmImport, import_id)
    return row is not None and waits(row)


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
        row.wake_at = None
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


async def call_troubled(session: AsyncSession, host_id: UUID) -> None:
    """Ask for a turn of each import that waits for this proxy host to be of use again."""
    statement = (
        select(VmImport)
        .where(
            col(VmImport.proxy_host_id) == host_id,
            col(VmImport.state).in_(LIVE),
            col(VmImport.troubled_since).is_not(None),
        )
        # In the order in which others lock many at once.
        .order_by(col(VmImport.id))
        .with_for_update()
    )
    for row in (await session.execute(statement)).scalars():
        row.wakes += 1
        row.wake_at = now()


async def take_due(session: AsyncSession, *, limit: int, again_after_seconds: float) -> list[UUID]:
    """Imports whose turn should have begun by now, the oldest first; they are to be woken.

    Each is taken by one sweep only, and is due again when no turn has claimed it by then.
    """
    statement = (
        select(VmImport)
        .where(_is_due())
        .order_by(col(VmImport.wake_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = (await session.execute(statement)).scalars().all()
    for row in rows:
        row.wake_at = after(again_after_seconds)
    return [row.id for row in rows]


async def is_any_due(session: AsyncSession) -> bool:
    """Whether `take_due` would find something."""
    statement = select(exists().where(_is_due()))
    return bool((await session.execute(statement)).scalar())


def _is_due() -> ColumnElement[bool]:
    return and_(
        col(VmImport.state).in_(LIVE),
        or_(col(VmImport.wake_at) <= now(), col(VmImport.wake_at) > now() + LONGEST_WAIT),
        col(VmImport.worker_id).is_(None),
        col(VmImport.next_attempt_at).is_(None),
        or_(col(VmImport.state) != ImportState.QUEUED, col(VmImport.direction) == Direction.BACK),
    )


async def claimed_by(session: AsyncSession, worker_id: UUID) -> list[tuple[UUID, int]]:
    """The imports whose turn the worker runs, as the database has it, and the turns."""
    statement = select(col(VmImport.id), col(VmImport.turn)).where(col(VmImport.worker_id) == worker_id)
    return [(import_id, turn) for import_id, turn in (await session.execute(statement)).all()]


async def give_up(session: AsyncSession, import_id: UUID, turn: int, worker_id: UUID) -> None:
    """The turn is over without having said so; the next one may begin."""
    await session.execute(
        update(VmImport)
        .where(
            col(VmImport.id) == import_id,
            col(VmImport.turn) == turn,
            col(VmImport.worker_id) == worker_id,
        )
        .values(worker_id=None, wake_at=now())
    )


def after(seconds: float) -> datetime:
    """So many seconds from now; at most the longest wait."""
    return now() + min(timedelta(seconds=seconds), LONGEST_WAIT)
