"""Waiting imports: their order, and what each one waits for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, String, and_, case, cast, exists, extract, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import ImportFailureError
from app.models.columns import now
from app.models.imports import Direction, QueueStatus, Retry, VmImport
from app.models.state import ImportState
from app.services.json_members import member_text
from app.services.placement import Load, Need, Wait, choose, current_load, need_of
from app.services.specs import spec_from_row
from app.services.turns import LONGEST_WAIT

AGEING_SECONDS: Final = 600
"""How long an import waits until it counts as one priority higher: nobody starves."""
OVERTAKEN_SECONDS: Final = 1800
"""So long those behind it may overtake an import; from then on what it needs is kept for it."""
ITS_TURN: Final = "It waits for its turn."

Alike = tuple[str | None, ...]
"""Imports for which these values are the same need the same."""


@dataclass(frozen=True)
class Head:
    """One of the first in the queue of those that need the same."""

    id: UUID
    alike: Alike
    is_overdue: bool


def _since() -> ColumnElement[float]:
    """Since when an import waits, in seconds; one that is to start later doesn't wait until then."""
    start, asked = col(VmImport.start_after), col(VmImport.waiting_since)
    return func.coalesce(extract("epoch", case((start > asked, start), else_=asked)), 0.0)


def _standing() -> ColumnElement[float]:
    """The smaller, the sooner. A priority is worth so much waiting, so the order never changes by itself."""
    return _since() - AGEING_SECONDS * col(VmImport.priority)


def _alike() -> list[ColumnElement[str]]:
    """What the need of an import follows from."""
    return [
        cast(col(VmImport.data_center_id), String),
        cast(col(VmImport.provider_id), String),
        cast(col(VmImport.excluded_host_ids), String),
        member_text(VmImport.spec, "storage_domain_id"),
        member_text(VmImport.spec, "proxy_host_id"),
        member_text(VmImport.spec, "source", "kind"),
        member_text(VmImport.spec, "conversion", "mode"),
    ]


def is_due() -> ColumnElement[bool]:
    """Whether an import waits, in the queue or between two attempts, and may begin by now."""
    at = now()
    is_queued = and_(
        col(VmImport.state) == ImportState.QUEUED,
        or_(col(VmImport.start_after).is_(None), col(VmImport.start_after) <= at),
    )
    next_at = col(VmImport.next_attempt_at)
    is_between_attempts = and_(
        col(VmImport.state) == ImportState.RUNNING, or_(next_at <= at, next_at > at + LONGEST_WAIT)
    )
    return and_(col(VmImport.direction) == Direction.FORWARD, or_(is_queued, is_between_attempts))


async def is_any_due(session: AsyncSession) -> bool:
    return bool((await session.execute(select(exists().where(is_due())))).scalar())


async def heads(session: AsyncSession, at_most: int) -> list[Head]:
    """Those that are due, in order; of many that need the same, the first so many.

    The database sorts them: the queue may be long, and a pass looks at its heads only.
    """
    order = (_standing(), col(VmImport.id))
    number = func.row_number().over(partition_by=_alike(), order_by=order).label("number")
    alike = [column.label(f"alike_{index}") for index, column in enumerate(_alike())]
    numbered = select(
        col(VmImport.id), _standing().label("standing"), _since().label("since"), number, *alike
    ).where(is_due())
    inner = numbered.subquery()
    statement = select(inner).where(inner.c.number <= at_most).order_by(inner.c.standing, inner.c.id)
    overdue_since = now().timestamp() - OVERTAKEN_SECONDS
    return [
        Head(found.id, tuple(found[4:]), is_overdue=float(found.since) <= overdue_since)
        for found in (await session.execute(statement)).all()
    ]


async def queue_statuses(session: AsyncSession, rows: Sequence[VmImport]) -> dict[UUID, QueueStatus]:
    """Position (from 1) and reason of those of the rows that wait, as they are now."""
    waiting = [row for row in rows if row.state == ImportState.QUEUED]
    if not waiting:
        return {}
    positions = await _positions(session, [row.id for row in waiting])
    reasons = _Reasons(await current_load(session))
    return {
        row.id: QueueStatus(
            position=positions.get(row.id, 1), reason=await reasons.of(session, row) or ITS_TURN
        )
        for row in waiting
    }


async def retries(session: AsyncSession, rows: Sequence[VmImport]) -> dict[UUID, Retry]:
    """What those wait for whose next attempt may begin by now, and has not."""
    found = [(row, row.retry) for row in rows if row.retry is not None and _is_late(row)]
    if not found:
        return {}
    reasons = _Reasons(await current_load(session))
    return {
        row.id: Retry(at=retry.at, reason=await reasons.of(session, row) or retry.reason)
        for row, retry in found
    }


def _is_late(row: VmImport) -> bool:
    """Whether its next attempt could have begun by now."""
    at = row.next_attempt_at
    return row.state == ImportState.RUNNING and at is not None and at <= now()


async def _positions(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, int]:
    number = func.row_number().over(order_by=(_standing(), col(VmImport.id)))
    queued = select(col(VmImport.id), number.label("number")).where(col(VmImport.state) == ImportState.QUEUED)
    inner = queued.subquery()
    found = await session.execute(select(inner.c.id, inner.c.number).where(inner.c.id.in_(ids)))
    return dict(found.all())


class _Reasons:
    """Why imports wait, looked up once for all that need the same."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._known: dict[Need, str | None] = {}

    async def of(self, session: AsyncSession, row: VmImport) -> str | None:
        """None for one that waits for its turn only."""
        if row.start_after is not None and row.start_after > now():
            return f"It is to start after {row.start_after.isoformat(timespec='seconds')}."
        if row.direction == Direction.BACK:
            return "What the last attempt left is removed first."
        try:
            need = need_of(spec_from_row(row.spec, {}), row.data_center_id, row.excluded_host_ids)
        except ImportFailureError as error:
            return error.detail
        if need not in self._known:
            self._known[need] = await _why(session, need, self._load)
        return self._known[need]


async def _why(session: AsyncSession, need: Need, load: Load) -> str | None:
    try:
        choice = await choose(session, need, load)
    except ImportFailureError as error:
        return error.detail
    return choice.reason if isinstance(choice, Wait) else None
