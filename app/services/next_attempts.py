"""An import's way to its next attempt: back to the queue, or waiting between two attempts, and out again."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Problem
from app.models.columns import now
from app.models.imports import Direction, Retry, VmImport
from app.models.progress import Progress
from app.models.state import ImportState
from app.services import timeline
from app.services.imports import calm, changed, move
from app.services.specs import spec_from_row


async def requeue(session: AsyncSession, row: VmImport, *, holds_source: bool) -> None:
    """Back to the queue, with its place there; a host without the source is left out from now on."""
    if row.proxy_host_id is not None and not holds_source:
        row.excluded_host_ids = (*row.excluded_host_ids, row.proxy_host_id)
    move(row, ImportState.QUEUED)
    timeline.note(session, row, "moved", proxy_host_id=str(row.proxy_host_id))
    _begin_anew(row)
    row.wake_at = now()


def schedule(session: AsyncSession, row: VmImport, problem: Problem, next_at: datetime) -> None:
    """An attempt has failed and is undone; the import stays `running`, and another one is admitted then."""
    timeline.note(session, row, "retry_scheduled", code=problem.code, detail=problem.detail)
    reason = f"Attempt {row.attempt} failed: {problem.detail}"
    _begin_anew(row)
    row.progress, row.disk_progress, row.warnings = Progress(), (), ()
    row.direction, row.next_attempt_at = Direction.FORWARD, next_at
    row.automatic_retries += 1
    row.retry = Retry(at=next_at, reason=reason)
    changed(row)


def _begin_anew(row: VmImport) -> None:
    """The next attempt has no place yet."""
    row.attempt += 1
    row.step = row.stage = row.proxy_host_id = None
    row.storage_domain_id = spec_from_row(row.spec, {}).storage_domain_id
    calm(row)


def set_out(row: VmImport) -> None:
    """The attempt that the import waited for begins."""
    if row.state == ImportState.QUEUED:
        move(row, ImportState.RUNNING)
    else:
        changed(row)
    row.next_attempt_at = None
    calm(row)
