"""A turn: takes an import's steps on or back as far as they go now."""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from app import logs
from app.db import is_unavailable
from app.errors import (
    AppError,
    ConversionLostError,
    FencedError,
    HostError,
    ImportFailureError,
    NotFoundError,
    RecordUnreadableError,
)
from app.jobs import facts
from app.jobs.claims import Claim, claim, release
from app.jobs.context import Context
from app.jobs.step import Again, MovedError, Saved, Step, Turn, following, preceding
from app.jobs.steps import STEPS
from app.jobs.trouble import bear, turn_back
from app.models.attempts import Attempt, Outcome
from app.models.imports import Direction, VmImport
from app.models.state import ImportState, StepName
from app.secrets import SealError
from app.services import attempts, imports, next_attempts, turns
from app.settings import Settings

RETRIED: Final = frozenset({StepName.READ_CONFIG, StepName.CONVERT_DISKS})
"""The steps in which others than a proxy host can fail for a while."""

log = logs.get("turn")


async def advance_import(context: Context, import_id: UUID, steps: Sequence[Step] = STEPS) -> None:
    """Run one turn, if the import needs one and none runs. What goes wrong is on the import afterwards."""
    async with context.database.reading() as session:
        waiting = await turns.is_waiting(session, import_id)
    if waiting:
        await context.admit()
        return
    held = await claim(context, import_id)
    if held is None:
        return
    again: Again | None = Again(0)
    try:
        with contextlib.suppress(FencedError):
            again = await _take(held, steps)
    finally:
        # A turn that is cancelled gives the import back as well: the next one goes on where it stopped.
        await asyncio.shield(_give_back(held, again))


async def _give_back(held: Claim, again: Again | None) -> None:
    try:
        await release(held, again)
    except FencedError:
        log.info("turn.fenced", import_id=str(held.row.id), turn=held.row.turn)


async def _take(held: Claim, steps: Sequence[Step]) -> Again | None:
    settings = held.context.settings
    try:
        async with asyncio.timeout(settings.turn_timeout_seconds):
            return await _advance(held, steps)
    except FencedError:
        return Again(settings.host_retry_seconds)
    except Exception as error:  # noqa: BLE001  # the top of a job: whatever it is, it is on the import
        if is_unavailable(error):
            # Nothing is wrong with the import, nor could it be noted there.
            log.warning("turn.database_failed", import_id=str(held.row.id), error=str(error))
            return Again(settings.host_retry_seconds)
        return await bear(held, error)


async def _advance(held: Claim, steps: Sequence[Step]) -> Again | None:
    row = held.row
    if held.attempt is None or row.state == ImportState.QUEUED:
        return await _clear(held, steps)
    turn = _turn(held, held.attempt)
    if row.state == ImportState.RUNNING and row.direction == Direction.FORWARD:
        return await _forward(turn, steps)
    return await _back(turn, steps)


def _turn(held: Claim, attempt: Attempt) -> Turn:
    return Turn(held.context, held.row, attempt)


async def _clear(held: Claim, steps: Sequence[Step]) -> Again | None:
    """Before the next attempt begins: take away what earlier ones kept."""
    for attempt in held.left:
        await _undo(_turn(held, attempt), reversed(steps), keep=False)
    async with held.saving() as (session, row):
        row.direction = Direction.FORWARD
        if row.state == ImportState.CANCELLING:
            await imports.end(session, row, ImportState.CANCELLED)
        imports.changed(row)
    await held.context.announce(row.id)
    return None


async def _forward(turn: Turn, steps: Sequence[Step]) -> Again | None:
    try:
        facts.check(turn)
        for step in following(steps, turn.step):
            if not await turn.enter(step.name):
                return await _back(turn, steps)
            again = await step.do(turn)
            if again is not None:
                return again
    except MovedError as error:
        return await _move(turn, error)
    except (HostError, SealError, FencedError):
        raise
    except AppError as error:
        await _fail(turn, error)
        return await _back(turn, steps)
    await turn.announce()
    return None


async def _move(turn: Turn, error: MovedError) -> Again | None:
    """Nothing was made yet: back to the queue, for another proxy host."""
    async with turn.saving() as saved:
        if saved.row.state != ImportState.RUNNING:
            return Again(0)
        await attempts.end(saved.session, saved.attempt, Outcome.MOVED, error.reason.to_problem())
        await next_attempts.requeue(saved.session, saved.row, holds_source=False)
    await turn.announce()
    return None


async def _fail(turn: Turn, error: AppError) -> None:
    async with turn.saving() as saved:
        if saved.row.state == ImportState.RUNNING:
            again = _is_worth_another(saved.row, error, turn.context.settings)
            await turn_back(saved.session, saved.row, error.to_problem(), again=again)
    log.info("step.failed", import_id=str(turn.import_id), code=error.code, error=error.detail)
    await turn.announce()


def _is_worth_another(row: VmImport, error: AppError, settings: Settings) -> bool:
    """Whether another attempt is made by itself. Once the copy has succeeded, no second one is."""
    can_go_away = isinstance(error, ImportFailureError) and error.goes_away
    return can_go_away and row.step in RETRIED and row.automatic_retries < settings.automatic_retries


async def _back(turn: Turn, steps: Sequence[Step]) -> Again | None:
    """Undo in reverse, then end, or wait for another attempt.

    A cancel keeps nothing, whatever was asked for; nor does an attempt that another one follows.
    """
    async with turn.saving() as saved:
        step, is_cancelled = saved.row.step, saved.row.state == ImportState.CANCELLING
        goes_on = saved.row.direction == Direction.AGAIN
    keep = turn.keeps_on_failure and not is_cancelled and not goes_on
    is_whole = await _undo(turn, preceding(steps, step), keep=keep)
    async with turn.saving() as saved:
        if saved.row.state == ImportState.CANCELLING and not is_cancelled:
            return Again(0)
        if goes_on and is_whole and not is_cancelled:
            await _wait_for_another(saved, turn.context.settings)
        else:
            await _end(saved, is_cancelled=is_cancelled)
    await turn.announce()
    return None


async def _undo(turn: Turn, steps: Iterable[Step], *, keep: bool) -> bool:
    """Undo the steps. False when the way to something that one of them made is gone."""
    is_whole = True
    for step in steps:
        try:
            await step.undo(turn, keep=keep)
        except (NotFoundError, RecordUnreadableError) as error:
            # The record of the host, the domain or what was made is gone, and the way there with it.
            log.warning("undo.impossible", import_id=str(turn.import_id), error=error.detail)
            is_whole = False
    return is_whole


async def _end(saved: Saved, *, is_cancelled: bool) -> None:
    problem = None if is_cancelled else saved.attempt.problem
    outcome = Outcome.CANCELLED if is_cancelled else Outcome.FAILED
    await attempts.end(saved.session, saved.attempt, outcome, problem)
    await imports.end(saved.session, saved.row, ImportState(outcome), problem)


async def _wait_for_another(saved: Saved, settings: Settings) -> None:
    """The attempt is over and gives its place back; the next one is admitted like any other."""
    problem = saved.attempt.problem or ConversionLostError().to_problem()
    await attempts.end(saved.session, saved.attempt, Outcome.FAILED, problem)
    pause_seconds = settings.automatic_retry_seconds * 2.0**saved.row.automatic_retries
    next_attempts.schedule(saved.session, saved.row, problem, turns.after(pause_seconds))
