"""Data centers: made, read, changed and removed."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import InUseError, NotFoundError
from app.models.common import Json
from app.models.data_centers import DataCenter, DataCenterCreate, DataCenterPublic
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import StorageDomain
from app.services import names


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
    """Raises InUseError, which names the proxy hosts and storage domains that belong to it."""
    users = [
        f"{what} {name!r}"
        for what, table in (("proxy host", ProxyHost), ("storage domain", StorageDomain))
        for name in await _named(session, table, row.id)
    ]
    if users:
        raise InUseError(f"The data center holds {', '.join(users)}.")
    try:
        async with session.begin_nested():
            await session.delete(row)
    except IntegrityError as error:
        raise InUseError("VMs or live imports are in the data center.") from error


async def _named(
    session: AsyncSession, table: type[ProxyHost] | type[StorageDomain], data_center_id: UUID
) -> list[str]:
    statement = select(col(table.name)).where(col(table.data_center_id) == data_center_id).limit(20)
    return list((await session.execute(statement)).scalars())


def public(row: DataCenter) -> DataCenterPublic:
    return DataCenterPublic(id=row.id, name=row.name, description=row.description, networks=row.networks)
