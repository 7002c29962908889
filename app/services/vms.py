"""VMs and disks: listed, read, and forgotten."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import InUseError, NotFoundError
from app.models.attempts import Artifact, Attempt
from app.models.common import Json
from app.models.imports import VmImport
from app.models.proxy_hosts import HostState, ProxyHost
from app.models.state import ENDED
from app.models.vm import Firmware
from app.models.vms import Disk, DiskLocation, DiskPublic, DiskState, Vm, VmName, VmPublic, VmState
from app.services import imports, records

TARGET = "target"
"""How attempts name what they made on a storage domain."""


class VmFilter(BaseModel, frozen=True):
    """Which VMs a list shows; what is not given doesn't matter."""

    data_center_id: UUID | None = None
    storage_domain_id: UUID | None = None
    import_id: UUID | None = None
    name: str | None = None


async def page(session: AsyncSession, wanted: VmFilter, *, before: UUID | None, limit: int) -> list[Vm]:
    """Newest first; `before` is the last one of the page before."""
    statement = select(Vm).order_by(col(Vm.id).desc()).limit(limit)
    for name, value in wanted.model_dump(exclude_none=True).items():
        statement = statement.where(col(getattr(Vm, name)) == value)
    if before is not None:
        statement = statement.where(col(Vm.id) < before)
    return list((await session.execute(statement)).scalars())


async def get(session: AsyncSession, vm_id: UUID) -> Vm:
    """Raises NotFoundError."""
    vm = await session.get(Vm, vm_id)
    if vm is None:
        raise NotFoundError(f"There is no VM {vm_id}.")
    return vm


async def public(session: AsyncSession, vm: Vm) -> VmPublic:
    return (await publics(session, [vm]))[0]


async def publics(session: AsyncSession, vms: Sequence[Vm]) -> list[VmPublic]:
    statement = (
        select(col(Disk.vm_id), col(Disk.id))
        .where(col(Disk.vm_id).in_([vm.id for vm in vms]))
        .order_by(col(Disk.number))
    )
    found = (await session.execute(statement)).all()
    return [_public(vm, tuple(disk_id for vm_id, disk_id in found if vm_id == vm.id)) for vm in vms]


def _public(vm: Vm, disk_ids: tuple[UUID, ...]) -> VmPublic:
    return VmPublic(
        id=vm.id,
        name=vm.name,
        description=vm.description,
        state=VmState(vm.state),
        data_center_id=vm.data_center_id,
        storage_domain_id=vm.storage_domain_id,
        import_id=vm.import_id,
        cpu_count=vm.cpu_count,
        memory_bytes=vm.memory_bytes,
        os=vm.os,
        firmware=Firmware(vm.firmware) if vm.firmware else None,
        nics=vm.nics,
        disk_ids=disk_ids,
        problem=records.problem(f"VM {vm.name!r}", vm),
    )


def metadata(vm: Vm) -> tuple[str, str]:
    """The media type and the text of what virt-v2v wrote about the VM. Raises NotFoundError."""
    if vm.metadata_type is None or vm.metadata_text is None:
        raise NotFoundError("Nothing has been written about this VM yet.")
    return vm.metadata_type, vm.metadata_text


# --- disks -----------------------------------------------------------------------------------------------


async def disk_page(
    session: AsyncSession, vm_id: UUID | None, *, before: UUID | None, limit: int
) -> list[Disk]:
    """Newest first; `before` is the last one of the page before."""
    statement = select(Disk).order_by(col(Disk.id).desc()).limit(limit)
    if vm_id is not None:
        statement = statement.where(col(Disk.vm_id) == vm_id)
    if before is not None:
        statement = statement.where(col(Disk.id) < before)
    return list((await session.execute(statement)).scalars())


async def get_disk(session: AsyncSession, disk_id: UUID) -> Disk:
    """Raises NotFoundError."""
    disk = await session.get(Disk, disk_id)
    if disk is None:
        raise NotFoundError(f"There is no disk {disk_id}.")
    return disk


def public_disk(disk: Disk) -> DiskPublic:
    return DiskPublic(
        id=disk.id,
        vm_id=disk.vm_id,
        alias=disk.alias,
        state=DiskState(disk.state),
        capacity_bytes=disk.capacity_bytes,
        actual_bytes=disk.actual_bytes,
        format=disk.format,
        allocation=disk.allocation,
        bus=disk.bus,
        location=DiskLocation(proxy_host_id=disk.proxy_host_id, path=disk.path),
    )


# --- removal ---------------------------------------------------------------------------------------------


async def locked(session: AsyncSession, vm_id: UUID) -> Vm:
    """The VM, held by this transaction, if nothing works on it. Raises NotFoundError, InUseError."""
    statement = select(Vm).where(col(Vm.id) == vm_id).with_for_update()
    vm = (await session.execute(statement.execution_options(populate_existing=True))).scalar_one_or_none()
    if vm is None:
        raise NotFoundError(f"There is no VM {vm_id}.")
    row = await session.get(VmImport, vm.import_id) if vm.import_id is not None else None
    if vm.state == VmState.LOCKED or (row is not None and row.state not in ENDED):
        raise InUseError(f"The VM is used by import {vm.import_id}.")
    return vm


async def kept_plan(session: AsyncSession, vm: Vm) -> tuple[Json, UUID] | None:
    """What a failed attempt left of the VM, and the attempt, whose marker it carries."""
    statement = (
        select(Attempt, Artifact)
        .join(Artifact, col(Artifact.attempt_id) == col(Attempt.id))
        .where(col(Attempt.import_id) == vm.import_id, col(Artifact.kind) == TARGET)
    )
    for attempt, artifact in (await session.execute(statement)).all():
        target = attempt.facts.get(TARGET)
        if isinstance(target, dict) and target.get("vm_id") == str(vm.id):
            records.check(f"VM {vm.name!r}", artifact, {"details"})
            return artifact.details, attempt.id
    return None


async def hosts_near(session: AsyncSession, vm: Vm) -> list[ProxyHost]:
    """The proxy hosts of the VM's data center, those that are up first."""
    statement = select(ProxyHost).where(col(ProxyHost.data_center_id) == vm.data_center_id)
    hosts = (await session.execute(statement.order_by(col(ProxyHost.id)))).scalars()
    return sorted(hosts, key=lambda host: host.status.state is not HostState.UP)


async def remove(session: AsyncSession, vm: Vm) -> UUID | None:
    """Forget the VM, its disks and its name. Answers its import, which has changed, if it is still there."""
    for table in (Disk, VmName):
        await session.execute(delete(table).where(col(table.vm_id) == vm.id))
    await session.delete(vm)
    row = await session.get(VmImport, vm.import_id) if vm.import_id is not None else None
    if row is None or row.vm_id != vm.id:
        return None
    row.vm_id = None
    imports.changed(row)
    return row.id
