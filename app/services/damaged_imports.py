"""Imports whose records can't be read: mended where they may be, else undone as far as is known."""

from typing import Final

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import RecordUnreadableError
from app.models.attempts import Attempt
from app.models.columns import now
from app.models.damage import damage, mend
from app.models.imports import Direction, VmImport
from app.models.state import ImportState, StepName
from app.services import attempts, imports, records, timeline

AT_ONCE: Final = 100


def settle(session: AsyncSession, row: VmImport, attempt: Attempt | None) -> None:
    """A turn begins with these rows: what is only shown is mended; if more is lost, the import goes back."""
    if (told := records.warning(row)) is not None:
        row.warnings = (*row.warnings, told)
        imports.changed(row)
    mend(row, damage(row) & {"direction"} | damage(row) - records.DECISIVE)
    error = records.fault(row, attempt)
    if error is None or attempt is None:
        return
    if "step" in damage(row):
        # How far it got is unknown: every step is undone.
        row.step = StepName.RELEASE_TARGET
    if row.state == ImportState.RUNNING and attempt.problem is None:
        _turn_back(session, row, attempt, error)


def _turn_back(session: AsyncSession, row: VmImport, attempt: Attempt, error: RecordUnreadableError) -> None:
    attempt.problem = error.to_problem()
    row.direction = Direction.BACK
    timeline.note(session, row, "step_failed", step=row.step, code=error.code, detail=error.detail)
    imports.changed(row)


async def is_any_lost(session: AsyncSession) -> bool:
    """Whether `end_lost` would find something."""
    return bool((await session.execute(select(exists().where(_is_lost())))).scalar())


async def end_lost(session: AsyncSession) -> None:
    """Imports that no turn would ever begin, for nobody knows their state: they fail, and are undone."""
    statement = select(VmImport).where(_is_lost()).limit(AT_ONCE).with_for_update(skip_locked=True)
    for row in (await session.execute(statement)).scalars():
        attempt = await attempts.current(session, row)
        error = records.fault(row) or RecordUnreadableError()
        if attempt is not None:
            row.state, row.wake_at = ImportState.RUNNING, now()
            _turn_back(session, row, attempt, error)
            continue
        row.state = ImportState.QUEUED
        await imports.end(session, row, ImportState.FAILED, error.to_problem())
        mend(row, {"state", "direction"})


def _is_lost() -> ColumnElement[bool]:
    state, direction = col(VmImport.state), col(VmImport.direction)
    return or_(
        state.not_in(list(ImportState)),
        and_(state == ImportState.QUEUED, direction.not_in(list(Direction))),
    )
