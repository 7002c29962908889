"""Admission: which queued imports begin now, and on which proxy host. One pass, under one lock.

Order: priority, raised by one for every ten minutes of waiting, then age. An import that can't begin now
doesn't hold up those behind it that can; but once it has waited for OVERTAKEN_SECONDS, what it needs besides
what is full is kept for it.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db import lock_admission
from app.errors import ImportFailureError, NoProxyHostError, Problem
from app.models.columns import now
from app.models.imports import VmImport
from app.models.state import ImportState, StepName
from app.services import attempts, imports, next_attempts, timeline
from app.services.placement import (
    Choice,
    Load,
    Need,
    Wait,
    choose,
    current_load,
    free_slots,
    need_of,
)
from app.services.specs import spec_from_row
from app.services.waiting import Alike, Head, heads, is_due

FEWEST_AT_ONCE, MOST_AT_ONCE = 20, 200
"""So many of those that need the same are looked at in one pass."""


Needed = Need | ImportFailureError
"""What an import needs, or why that can't be told."""


@dataclass(frozen=True)
class Line:
    """Who waits, in order, and what those who are alike need."""

    heads: list[Head]
    needs: dict[Alike, Needed]


async def line_up(session: AsyncSession) -> Line:
    """The line as it is now. It takes no lock, so that a long queue holds nobody else up."""
    free = await free_slots(session, await current_load(session))
    line = await heads(session, min(max(free, FEWEST_AT_ONCE), MOST_AT_ONCE))
    # One of each is looked at: the last one that is put in is the first in the line.
    ones = {head.alike: head.id for head in reversed(line)}
    found = await session.execute(select(VmImport).where(col(VmImport.id).in_(ones.values())))
    needs = {row.id: _need(row) for row in found.scalars()}
    return Line(line, {alike: needs[import_id] for alike, import_id in ones.items()})


async def can_any_begin(session: AsyncSession, line: Line) -> bool:
    """Whether a pass would find something to do."""
    load = await current_load(session)
    answers = [await _answer(session, need, load) for need in line.needs.values()]
    return any(not isinstance(answer, Wait) for answer in answers)


async def admit(session: AsyncSession, line: Line) -> tuple[list[UUID], list[UUID]]:
    """Begin what can begin, and fail what never can. Answers the imports of either kind.

    What has left the line since is left out; who joined it comes with the next pass.
    """
    await lock_admission(session)
    this = _Pass(await current_load(session), line.needs)
    for head in line.heads:
        await this.look_at(session, head)
    return this.admitted, this.failed


def _need(row: VmImport) -> Needed:
    try:
        return need_of(spec_from_row(row.spec, {}), row.data_center_id, row.excluded_host_ids)
    except ImportFailureError as error:
        return error


async def _answer(session: AsyncSession, need: Needed, load: Load) -> Choice | Wait | ImportFailureError:
    if isinstance(need, ImportFailureError):
        return need
    try:
        return await choose(session, need, load)
    except ImportFailureError as error:
        return error


class _Pass:
    """What was given out so far, and what those who need the same as others wait for."""

    def __init__(self, load: Load, needs: dict[Alike, Needed]) -> None:
        self.admitted: list[UUID] = []
        self.failed: list[UUID] = []
        self._load, self._needs = load, needs
        self._waits: dict[Alike, Wait] = {}
        self._kept: set[UUID] = set()

    async def look_at(self, session: AsyncSession, head: Head) -> None:
        # The load only grows: what made one of them wait makes all of them wait.
        if head.alike not in self._waits:
            answer = await _answer(session, self._needs[head.alike], self._load)
            if not isinstance(answer, Wait):
                await self._settle(session, head, answer)
                return
            self._waits[head.alike] = answer
        if head.is_overdue:
            self._keep(self._waits[head.alike])

    async def _settle(self, session: AsyncSession, head: Head, answer: Choice | ImportFailureError) -> None:
        row = await _locked(session, head.id)
        if row is None:
            return
        if isinstance(answer, Choice):
            await _begin(session, row, answer, self._load)
            self.admitted.append(row.id)
        else:
            await imports.end(session, row, ImportState.FAILED, await _problem(session, row, answer))
            self.failed.append(row.id)

    def _keep(self, wait: Wait) -> None:
        """For the first that waits for a full host or domain: nobody behind it may take the rest."""
        if wait.full is not None and wait.full not in self._kept:
            self._kept.add(wait.full)
            self._load.take(*wait.beside)


async def _locked(session: AsyncSession, import_id: UUID) -> VmImport | None:
    """The row, held by this transaction, unless it was cancelled since it was looked at."""
    statement = select(VmImport).where(col(VmImport.id) == import_id, is_due()).with_for_update()
    return (await session.execute(statement.execution_options(populate_existing=True))).scalar_one_or_none()


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
            work_bytes=choice.work_bytes,
        )
    )
    timeline.note(session, row, "admitted", proxy_host_id=str(choice.host.id), reason=choice.reason)
