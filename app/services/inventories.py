"""Inventories: the VMs that a provider has, as rows that know when they were read."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import AppError, NotFoundError
from app.models.columns import new_id, now
from app.models.providers import InventoryState, InventoryStatus, Provider, ProviderVm
from app.models.source_vms import SourceVmSummary
from app.models.vm import Concern, ConcernSeverity, PowerState

ROWS_AT_ONCE = 1000
"""Databases take so many values in one statement, and no more."""

Position = tuple[str, str]
"""Name and id of a VM: what lists go by."""


def is_reading(row: Provider) -> bool:
    """Whether somebody reads the inventory now, as far as is known."""
    return row.reading_id is not None and row.reading_until is not None and now() < row.reading_until


def begin(row: Provider, *, seconds: float) -> UUID | None:
    """Take the inventory for a reading of at most so long; None while another one goes on. Row locked."""
    if is_reading(row):
        return None
    reading_id = new_id()
    row.reading_id, row.reading_until = reading_id, now() + timedelta(seconds=seconds)
    return reading_id


async def replace(session: AsyncSession, row: Provider, found: Sequence[SourceVmSummary]) -> None:
    """These are the provider's VMs now; the row is locked, and the reading its own."""
    await _clear(session, row.id)
    # Of two VMs with one id the first is kept: the id is all that an import can say.
    once = {vm.id: vm for vm in reversed(found)}
    rows = [
        {"provider_id": row.id, "vm_id": vm.id, "name": vm.name, "state": vm.state.value, "summary": vm}
        for vm in once.values()
    ]
    for first in range(0, len(rows), ROWS_AT_ONCE):
        await session.execute(insert(ProviderVm), rows[first : first + ROWS_AT_ONCE])
    row.fetched_at, row.vm_count, row.inventory_problem = now(), len(rows), None
    row.reading_id = row.reading_until = None


def fail(row: Provider, error: AppError) -> None:
    """The reading came to nothing; what was read before stays."""
    row.inventory_problem = error.to_problem()
    row.reading_id = row.reading_until = None


async def forget(session: AsyncSession, row: Provider) -> None:
    """The provider is another one now; what a reading of the former finds is not saved."""
    await _clear(session, row.id)
    row.fetched_at = row.vm_count = row.inventory_problem = row.reading_id = row.reading_until = None


async def _clear(session: AsyncSession, provider_id: UUID) -> None:
    await session.execute(delete(ProviderVm).where(col(ProviderVm.provider_id) == provider_id))


def status_of(row: Provider) -> InventoryStatus:
    return InventoryStatus(
        state=_state_of(row),
        fetched_at=row.fetched_at,
        vm_count=row.vm_count,
        problem=row.inventory_problem,
    )


def _state_of(row: Provider) -> InventoryState:
    if is_reading(row):
        return InventoryState.READING
    if row.inventory_problem is not None:
        return InventoryState.FAILED
    return InventoryState.NONE if row.vm_count is None else InventoryState.READY


async def page(
    session: AsyncSession,
    provider_id: UUID,
    *,
    name: str | None = None,
    state: PowerState | None = None,
    after: Position | None = None,
    limit: int = 100,
) -> list[SourceVmSummary]:
    """By name, then id; `after` is the last one of the page before, `name` a part of the name in any case."""
    position = tuple_(col(ProviderVm.name), col(ProviderVm.vm_id))
    statement = select(ProviderVm).where(col(ProviderVm.provider_id) == provider_id)
    if name is not None:
        statement = statement.where(col(ProviderVm.name).icontains(name, autoescape=True))
    if state is not None:
        statement = statement.where(col(ProviderVm.state) == state)
    if after is not None:
        statement = statement.where(position > after)
    ordered = statement.order_by(col(ProviderVm.name), col(ProviderVm.vm_id)).limit(limit)
    return [_summary(row) for row in (await session.execute(ordered)).scalars()]


async def summary(session: AsyncSession, provider_id: UUID, vm_id: str) -> SourceVmSummary:
    """What the inventory has of the VM. Raises NotFoundError."""
    row = await session.get(ProviderVm, (provider_id, vm_id))
    if row is None:
        raise NotFoundError(f"The inventory has no VM {vm_id!r}.")
    return _summary(row)


def _summary(row: ProviderVm) -> SourceVmSummary:
    """What was found; a VM whose record can't be read is listed all the same."""
    if row.summary is not None:
        return row.summary
    told = Concern(
        code="vm_unreadable",
        severity=ConcernSeverity.CRITICAL,
        message="The saved record of the VM can't be read; refresh the inventory.",
    )
    return SourceVmSummary(
        id=row.vm_id,
        name=row.name,
        path=None,
        state=PowerState(row.state) if row.state in set(PowerState) else PowerState.UNKNOWN,
        cpu_count=None,
        memory_bytes=None,
        firmware=None,
        os=None,
        disk_count=None,
        capacity_bytes=None,
        concerns=(told,),
        importable=False,
    )
