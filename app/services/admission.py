"""Admission: which queued imports begin now, and on which proxy host. One pass, under one lock.

Order: priority, raised by one for every ten minutes of waiting, then age. An import that can't begin now
doesn't hold up those behind it that can.
"""

from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db import lock_admission
from app.errors import ImportFailureError, NoProxyHostError, Problem
from app.models.columns import now
from app.models.imports import Direction, VmImport
from app.models.state import ImportState, StepName
from app.services import attempts, imports, next_attempts, timeline
from app.services.placement import WORK_BYTES_AT_LEAST, Choice, Load, Wait, choose, current_load
from app.services.specs import spec_from_row
from app.services.turns import LONGEST_WAIT
from app.services.waiting import rank


async def admit(session: AsyncSession) -> tuple[list[UUID], list[UUID]]:
    """Begin what can begin, and fail what never can. Answers the imports of either kind."""
    await lock_admission(session)
    load = await current_load(session)
    admitted: list[UUID] = []
    failed: list[UUID] = []
    for row in await _due(session):
        try:
            choice = await choose(
                session, spec_from_row(row.spec, {}), row.data_center_id, row.excluded_host_ids, load
            )
        except ImportFailureError as error:
            await imports.end(session, row, ImportState.FAILED, await _problem(session, row, error))
            failed.append(row.id)
            continue
        if isinstance(choice, Wait):
            next_attempts.hold_back(row, choice.reason)
            continue
        await _begin(session, row, choice, load)
        admitted.append(row.id)
    return admitted, failed


async def is_any_due(session: AsyncSession) -> bool:
    """Whether an import waits that may begin by now."""
    return bool((await session.execute(select(exists().where(_is_due())))).scalar())


def _is_due() -> ColumnElement[bool]:
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


async def _due(session: AsyncSession) -> list[VmImport]:
    at = now()
    statement = select(VmImport).where(_is_due()).with_for_update().execution_options(populate_existing=True)
    rows = (await session.execute(statement)).scalars().all()
    return sorted(rows, key=lambda row: (-rank(row.priority, row.waiting_since, at), row.id))


async def _problem(session: AsyncSession, row: VmImport, error: ImportFailureError) -> Problem:
    """Why the import can't begin; when hosts were tried in vain, what the last of them said tells more."""
    tried = await attempts.numbered(session, row.id, row.attempt - 1) if row.excluded_host_ids else None
    if tried is None or tried.problem is None or not isinstance(error, NoProxyHostError):
        return error.to_problem()
    return tried.problem


async def _begin(session: AsyncSession, row: VmImport, choice: Choice, load: Load) -> None:
    next_attempts.set_out(row)
    row.step = StepName.CHOOSE_PROXY_HOST
    row.proxy_host_id, row.storage_domain_id = choice.host.id, choice.domain.id
    row.started_at, row.wake_at = row.started_at or now(), now()
    load.add(
        await attempts.begin(
            session,
            row,
            proxy_host_id=choice.host.id,
            storage_domain_id=choice.domain.id,
            work_bytes=WORK_BYTES_AT_LEAST,
        )
    )
    timeline.note(session, row, "admitted", proxy_host_id=str(choice.host.id), reason=choice.reason)


async def reserve_bytes(
    session: AsyncSession, attempt_id: UUID, *, work_bytes: int, target_bytes: int
) -> tuple[int, int]:
    """Hold the bytes that the attempt turned out to need.

    Answers how many bytes others hold in the same host's work directory and on the same storage domain.
    """
    await lock_admission(session)
    own = await attempts.reservation(session, attempt_id)
    if own is None:
        return 0, 0
    own.work_bytes, own.target_bytes = max(work_bytes, WORK_BYTES_AT_LEAST), target_bytes
    await session.flush()
    load = await current_load(session)
    others_work = load.host_bytes[own.proxy_host_id] - own.work_bytes
    others_target = (
        load.domain_bytes[own.storage_domain_id] - own.target_bytes if own.storage_domain_id else 0
    )
    return others_work, others_target
