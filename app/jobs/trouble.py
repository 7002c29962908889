"""What becomes of a turn that failed for a reason that may go away: patience, and its end."""

import random

from app import logs
from app.actions.probe_host import UNREACHABLE, status_with
from app.db import Session
from app.errors import AppError, DeadlineError, HostError, HostKeyUnverifiedError, Problem
from app.jobs import facts
from app.jobs.claims import Claim, Trouble
from app.jobs.step import Again
from app.models.attempts import Outcome
from app.models.columns import now
from app.models.imports import Direction, VmImport
from app.models.proxy_hosts import HostState
from app.models.state import ENDED, ImportState, StepName
from app.secrets import SealError
from app.services import attempts, checks, endings, imports, next_attempts, proxy_hosts, timeline
from app.settings import Settings

GOES_AWAY = (*UNREACHABLE, HostKeyUnverifiedError, SealError)
"""The host can't be reached as it is recorded, or not with this key file: an administrator, or time, puts
that right.
"""
UNMADE = frozenset({StepName.CHOOSE_PROXY_HOST, StepName.READ_CONFIG})
"""The steps before anything is made."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 3.0
"""In terms of `host_retry_seconds`. Longer ones would leave a host that is back unused for too long."""
JITTER = 0.25
MOST_TRIES = 5
"""Everything else that failed so often, one time after the other, fails for good."""

log = logs.get("turn")


async def bear(claim: Claim, error: Exception) -> Again | None:
    """Try again later; or, when patience is at its end, go back, or end with what couldn't be undone."""
    problem = _problem(claim, error)
    async with claim.saving() as (session, row):
        if row.state in ENDED:
            return None
        if isinstance(error, GOES_AWAY) and await _may_move(session, row):
            await _move(session, row, error)
            again: Again | None = None
        else:
            again = await _count(session, row, error, problem, claim.context.settings)
    if not isinstance(again, Trouble):
        await claim.context.announce(claim.row.id)
    return again


async def _may_move(session: Session, row: VmImport) -> bool:
    """Whether nothing was made yet, the host is ours to choose, and another one is up."""
    is_unmade = row.state == ImportState.RUNNING and row.direction == Direction.FORWARD and row.step in UNMADE
    return is_unmade and row.spec.get("proxy_host_id") is None and await checks.is_another_up(session, row)


async def _move(session: Session, row: VmImport, error: AppError) -> None:
    """Back to the queue, for another host. This one is no choice until a probe has found it again."""
    attempt = await attempts.current(session, row)
    if row.proxy_host_id is not None:
        host = await proxy_hosts.get(session, row.proxy_host_id)
        await proxy_hosts.save_status(session, host.id, status_with(host, HostState.UNREACHABLE, error))
    if attempt is not None:
        await attempts.end(session, attempt, Outcome.MOVED, error.to_problem())
    await next_attempts.requeue(session, row, holds_source=True)


async def _count(
    session: Session, row: VmImport, error: Exception, problem: Problem, settings: Settings
) -> Again | None:
    row.troubled_since = row.troubled_since or now()
    row.troubles += 1
    if _is_patient(row, error, settings):
        return Trouble(_pause_seconds(row.troubles, settings.host_retry_seconds), problem.detail)
    return await _lose_patience(session, row, problem)


def _pause_seconds(troubles: int, host_retry_seconds: float) -> float:
    """Twice as long each time, and never the same for all that wait."""
    pause = min(FIRST_PAUSE * 2.0 ** min(troubles - 1, 10), LONGEST_PAUSE)
    return host_retry_seconds * pause * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # no secret


def _problem(claim: Claim, error: Exception) -> Problem:
    told = {"import_id": str(claim.row.id), "step": claim.row.step}
    if isinstance(error, TimeoutError):
        limit = claim.context.settings.turn_timeout_seconds
        error = DeadlineError(f"The turn took longer than {limit:g} s.")
    if isinstance(error, AppError):
        log.warning("turn.troubled", code=error.code, error=error.detail, **told)
        return error.to_problem()
    log.error("turn.unexpected", exc_info=error, **told)
    return AppError("Something unexpected happened; the service's log has the details.").to_problem()


def _is_patient(row: VmImport, error: Exception, settings: Settings) -> bool:
    is_forced = row.force_cancel and row.state == ImportState.CANCELLING
    if is_forced and isinstance(error, HostError):
        return False
    if isinstance(error, GOES_AWAY) and row.troubled_since is not None:
        return (now() - row.troubled_since).total_seconds() < settings.host_unreachable_limit_seconds
    return row.troubles < MOST_TRIES


async def _lose_patience(session: Session, row: VmImport, problem: Problem) -> Again | None:
    # `troubled_since` stays: a host that was waited for long enough isn't waited for again.
    row.troubles = 0
    if row.state == ImportState.QUEUED:
        await _leave_behind(session, row, problem)
        return None
    if row.state == ImportState.RUNNING and row.direction == Direction.FORWARD:
        await turn_back(session, row, problem)
        return Trouble(0)
    await endings.abandon(session, row, problem, detail=problem.detail)
    return None


async def _leave_behind(session: Session, row: VmImport, problem: Problem) -> None:
    """What earlier attempts left can't be removed. Where one of them may still be copying, nothing begins."""
    timeline.note(session, row, "left_behind", detail=problem.detail)
    row.direction = Direction.FORWARD
    if any(facts.may_run(attempt) for attempt in await attempts.left_behind(session, row)):
        await imports.end(session, row, ImportState.FAILED, problem)
    else:
        imports.changed(row)


async def turn_back(session: Session, row: VmImport, problem: Problem, *, again: bool = False) -> None:
    """The attempt has failed: from now on it is undone; with `again`, another one follows."""
    attempt = await attempts.current(session, row)
    if attempt is not None:
        attempt.problem = problem
    row.direction = Direction.AGAIN if again else Direction.BACK
    timeline.note(session, row, "step_failed", step=row.step, code=problem.code, detail=problem.detail)
    imports.changed(row)
