"""Storage domains: made, read, changed, removed, and how they were found."""

from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db import lock_admission
from app.destinations import destination_of
from app.destinations.base import Destination
from app.errors import (
    FieldError,
    NotFoundError,
    RecordUnreadableError,
    UnknownReferenceError,
    UnprocessableError,
    UnsupportedPropertyError,
    json_pointer,
)
from app.models.common import Json, Shape
from app.models.imports import VmImport
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import DomainState, DomainStatus, StorageDomain, StorageDomainPublic
from app.models.vms import Vm
from app.services import data_centers, names, records, users


async def create(
    session: AsyncSession,
    *,
    data_center_id: UUID,
    name: str,
    kind: str,
    settings: Json,
    max_concurrent_imports: int | None,
) -> StorageDomain:
    """Raises UnknownReferenceError, NameInUseError."""
    await data_centers.hold(session, data_center_id)
    await _check_host(session, kind, settings, data_center_id)
    row = StorageDomain(
        data_center_id=data_center_id,
        name=name,
        kind=kind,
        settings=settings,
        max_concurrent_imports=max_concurrent_imports,
    )
    return await names.add(session, row)


async def _check_host(session: AsyncSession, kind: str, settings: Json, data_center_id: UUID) -> None:
    destination = destination_of(kind)
    host_id = destination.host_id(destination.Settings.model_validate(settings))
    if host_id is None:
        return
    host = await session.get(ProxyHost, host_id, with_for_update={"read": True, "key_share": True})
    if host is None or host.data_center_id != data_center_id:
        detail = "There is no such proxy host in the data center."
        fault = FieldError(pointer="/settings/proxy_host_id", code="unknown_reference", detail=detail)
        raise UnknownReferenceError(detail, errors=(fault,))


async def get(session: AsyncSession, domain_id: UUID) -> StorageDomain:
    """Raises NotFoundError."""
    row = await session.get(StorageDomain, domain_id)
    if row is None:
        raise NotFoundError(f"There is no storage domain {domain_id}.")
    return row


def opened(row: StorageDomain) -> tuple[Destination[Any], Shape]:
    """The kind of code behind the domain, and the domain's settings. Raises RecordUnreadableError."""
    what = f"storage domain {row.name!r}"
    records.check(what, row, {"settings"})
    try:
        destination = destination_of(row.kind)
        return destination, destination.Settings.model_validate(row.settings)
    except (UnsupportedPropertyError, ValidationError) as error:
        raise RecordUnreadableError(f"The record of {what} is none that this program knows.") from error


def status_of(row: StorageDomain) -> DomainStatus:
    """As the last check found it; a domain whose record can't be read is not usable."""
    try:
        opened(row)
    except RecordUnreadableError as error:
        return DomainStatus(state=DomainState.UNUSABLE, problem=error.to_problem())
    return row.status


async def get_locked(session: AsyncSession, domain_id: UUID) -> StorageDomain:
    """As `get`, and nobody else changes it until the transaction ends."""
    await session.get(StorageDomain, domain_id, with_for_update=True)
    return await get(session, domain_id)


async def page(
    session: AsyncSession,
    *,
    data_center_id: UUID | None = None,
    name: str | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[StorageDomain]:
    """Newest first; `before` is the last one of the page before."""
    statement = select(StorageDomain).order_by(col(StorageDomain.id).desc()).limit(limit)
    if data_center_id is not None:
        statement = statement.where(col(StorageDomain.data_center_id) == data_center_id)
    if name is not None:
        statement = statement.where(col(StorageDomain.name) == name)
    if before is not None:
        statement = statement.where(col(StorageDomain.id) < before)
    return list((await session.execute(statement)).scalars())


async def patch(session: AsyncSession, row: StorageDomain, given: Json) -> None:
    """`settings` is merged into what there is; a changed place has to be checked anew.

    Raises InUseError for a change of the settings under live imports or VMs, UnprocessableError,
    UnknownReferenceError, NameInUseError.
    """
    # What is admitted later keeps to it.
    await lock_admission(session)
    changed = dict(given)
    if "settings" in given:
        merged = _merged(row, given["settings"])
        if merged != row.settings:
            users.refuse("storage domain", await _users(session, row))
            await _check_host(session, row.kind, merged, row.data_center_id)
            changed |= {"settings": merged, "status": DomainStatus()}
    await names.change(session, row, changed)


def _merged(row: StorageDomain, given: Json) -> Json:
    """A merge patch (RFC 7396) of the settings, validated by the kind."""
    together = {**row.settings, **given}
    wanted = {name: value for name, value in together.items() if value is not None}
    try:
        settings: Json = destination_of(row.kind).Settings.model_validate(wanted).model_dump(mode="json")
    except ValidationError as error:
        faults = tuple(
            FieldError(
                pointer=json_pointer("settings", *fault["loc"]),
                code=fault["type"],
                detail=fault["msg"],
            )
            for fault in error.errors()
        )
        raise UnprocessableError(faults[0].detail, errors=faults) from error
    return settings


async def remove(session: AsyncSession, row: StorageDomain) -> None:
    """Raises InUseError, which names the live imports and VMs."""
    # Nothing is admitted to it from here on.
    await lock_admission(session)
    users.refuse("storage domain", await _users(session, row))
    await session.delete(row)


async def _users(session: AsyncSession, row: StorageDomain) -> list[str]:
    """A live import that named none may still have been given this one."""
    by_request = users.names(VmImport.spec, "storage_domain_id", row.id)
    using = or_(col(VmImport.storage_domain_id) == row.id, by_request)
    return [
        *await users.live_imports(session, using),
        *await users.vms(session, col(Vm.storage_domain_id) == row.id),
    ]


async def save_status(session: AsyncSession, domain_id: UUID, status: DomainStatus) -> StorageDomain:
    """What a check found. Raises NotFoundError."""
    row = await get_locked(session, domain_id)
    row.status = status
    row.version += 1
    return row


def public(row: StorageDomain) -> StorageDomainPublic:
    return StorageDomainPublic(
        id=row.id,
        data_center_id=row.data_center_id,
        name=row.name,
        kind=row.kind,
        settings=row.settings,
        max_concurrent_imports=row.max_concurrent_imports,
        status=status_of(row),
    )
