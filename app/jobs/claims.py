"""A turn's claim on an import: taken when it begins, and given back when it ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from app.db import Session
from app.jobs.context import Context
from app.jobs.step import Again
from app.models.attempts import Attempt
from app.models.imports import Retry, VmImport
from app.models.state import ENDED
from app.services import attempts, damaged_imports, imports, turns


@dataclass(frozen=True)
class Trouble(Again):
    """The turn failed for a reason that may go away; it was counted."""


@dataclass(frozen=True)
class Claim:
    """The import as the claim found it; nobody else changes it but through calls, while the claim holds."""

    context: Context
    row: VmImport
    attempt: Attempt | None
    left: tuple[Attempt, ...]
    """Earlier attempts that kept something, newest first."""

    @asynccontextmanager
    async def saving(self) -> AsyncIterator[tuple[Session, VmImport]]:
        """One transaction that holds the import's row. Raises FencedError when a newer turn took over."""
        async with self.context.database.session() as session:
            yield session, await turns.held(session, self.row.id, self.row.turn)


async def claim(context: Context, import_id: UUID) -> Claim | None:
    """None when there is nothing to do, or another turn runs."""
    async with context.database.session() as session:
        row = await turns.claim(session, import_id, context.worker_id)
        if row is None:
            return None
        attempt = await attempts.current(session, row)
        damaged_imports.settle(session, row, attempt)
        left = await attempts.left_behind(session, row)
    return Claim(context, row, attempt, tuple(left))


async def release(held: Claim, again: Again | None) -> None:
    """End the turn and see to what follows from it. Raises FencedError."""
    context, import_id = held.context, held.row.id
    next_at = None if again is None else turns.after(again.after_seconds)
    async with held.saving() as (session, row):
        is_news = _tell(row, again)
        called = await turns.release(session, import_id, row.turn, seen_wakes=held.row.wakes, next_at=next_at)
        frees_slots = row.state in ENDED or turns.waits(row)
    if is_news:
        await context.announce(import_id)
    if frees_slots:
        await context.admit()
    elif called or (again is not None and again.after_seconds == 0):
        await context.queue.wake(import_id)


def _tell(row: VmImport, again: Again | None) -> bool:
    """Show why the import waits, or that it waits no more. True when that is news."""
    if row.state in ENDED or row.next_attempt_at is not None:
        return False
    was_told = row.retry is not None
    if not isinstance(again, Trouble):
        imports.calm(row)
    if again is not None and again.reason is not None:
        row.retry = Retry(at=turns.after(again.after_seconds), reason=again.reason)
    is_news = was_told or row.retry is not None
    if is_news:
        imports.changed(row)
    return is_news
