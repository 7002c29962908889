"""Ends an import without undoing the rest of it: what is out of reach stays, and stays on record."""

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import Problem
from app.models.attempts import Outcome
from app.models.imports import VmImport
from app.models.proxy_hosts import HostState, ProxyHost
from app.models.state import ImportState
from app.models.vms import DiskState, VmState
from app.services import attempts, imports, targets, timeline

FORCED = "The cancel was forced: what the attempt made outside the database was not removed."


async def abandon(session: AsyncSession, row: VmImport, problem: Problem | None, *, detail: str) -> None:
    """End it as failed with the problem, or as cancelled. What may be left is on record, and an orphan."""
    is_cancelled = row.state == ImportState.CANCELLING
    timeline.note(session, row, "left_behind", detail=detail)
    if row.vm_id is not None:
        if row.spec.get("keep_on_failure") and not is_cancelled:
            await targets.set_state(session, row.vm_id, VmState.ILLEGAL, DiskState.ILLEGAL)
        else:
            await targets.remove(session, row, row.vm_id)
    attempt = await attempts.current(session, row)
    reason = None if is_cancelled else (attempt.problem if attempt else None) or problem
    outcome = Outcome.CANCELLED if is_cancelled else Outcome.FAILED
    if attempt is not None:
        attempt.abandoned = True
        await attempts.end(session, attempt, outcome, reason)
    await imports.end(session, row, ImportState(outcome), reason)


async def cancel_by_force(session: AsyncSession, row: VmImport) -> None:
    """Cancel without waiting for a proxy host; the row is locked. Raises ImportEndedError.

    The import ends here and now when its undoing is known to wait, or to be under way already. Else the
    undoing gets one try, and the first failure of a host ends it.
    """
    waits = row.state == ImportState.CANCELLING or row.troubled_since is not None
    await imports.cancel(session, row, force=True)
    if row.state == ImportState.CANCELLING and (waits or await _is_host_away(session, row)):
        # A turn that runs now can save nothing more.
        row.turn += 1
        row.worker_id = None
        await abandon(session, row, None, detail=FORCED)


async def _is_host_away(session: AsyncSession, row: VmImport) -> bool:
    if row.proxy_host_id is None:
        return False
    host = await session.get(ProxyHost, row.proxy_host_id)
    return host is None or host.status.state is HostState.UNREACHABLE
