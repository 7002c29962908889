"""Data centers: made, read, changed and removed."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import FieldError, NotFoundError, UnknownReferenceError
from app.models.common import Json
from app.models.data_centers import DataCenter, DataCenterCreate, DataCenterPublic
from app.models.imports import VmImport
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import StorageDomain
from app.models.vms import Vm
from app.services import names, records, users


async def create(session: AsyncSession, body: DataCenterCreate) -> DataCenter:
    """Raises NameInUseError."""
    row = DataCenter(name=body.name, description=body.description, networks=body.networks)
    return await names.add(session, row)


async def get(session: AsyncSession, data_center_id: UUID) -> DataCenter:
    """Raises NotFoundError."""
    row = await session.get(DataCenter, data_center_id)
    if row is None:
        raise NotFoundError(f"There is no data center {data_center_id}.")
    return row


async def get_locked(session: AsyncSession, data_center_id: UUID) -> DataCenter:
    """As `get`, and nobody else changes it until the transaction ends."""
    await session.get(DataCenter, data_center_id, with_for_update=True)
    return await get(session, data_center_id)


async def hold(session: AsyncSession, data_center_id: UUID) -> None:
    """Keep the data center of a request's body until the transaction ends. Raises UnknownReferenceError."""
    lock = {"read": True, "key_share": True}
    if await session.get(DataCenter, data_center_id, with_for_update=lock) is None:
        detail = "There is no such data center."
        fault = FieldError(pointer="/data_center_id", code="unknown_reference", detail=detail)
        raise UnknownReferenceError(detail, errors=(fault,))


async def page(
    session: AsyncSession, *, name: str | None = None, before: UUID | None = None, limit: int = 100
) -> list[DataCenter]:
    """Newest first; `before` is the last one of the page before."""
    statement = select(DataCenter).order_by(col(DataCenter.id).desc()).limit(limit)
    if name is not None:
        statement = statement.where(col(DataCenter.name) == name)
    if before is not None:
        statement = statement.where(col(DataCenter.id) < before)
    return list((await session.execute(statement)).scalars())


async def patch(session: AsyncSession, row: DataCenter, given: Json) -> None:
    """Raises NameInUseError."""
    await names.change(session, row, given)


async def remove(session: AsyncSession, row: DataCenter) -> None:
    """Raises InUseError, which names the hosts and domains that belong to it, and live imports into it."""
    using = [
        *await _members(session, "proxy host", ProxyHost, row.id),
        *await _members(session, "storage domain", StorageDomain, row.id),
        *await users.live_imports(session, col(VmImport.data_center_id) == row.id),
        *await users.vms(session, col(Vm.data_center_id) == row.id),
    ]
    users.refuse("data center", using)
    await session.delete(row)


async def _members(
    session: AsyncSession, what: str, table: type[ProxyHost] | type[StorageDomain], data_center_id: UUID
) -> list[str]:
    named = select(col(table.name)).where(col(table.data_center_id) == data_center_id)
    found = await session.execute(named.limit(users.MOST_NAMED))
    return [f"{what} {name!r}" for name in found.scalars()]


def public(row: DataCenter) -> DataCenterPublic:
    return DataCenterPublic(
        id=row.id,
        name=row.name,
        description=row.description,
        networks=row.networks,
        problem=records.problem(f"data center {row.name!r}", row),
    )
