"""An import's VM and disks in the database: locked before the conversion, true and unlocked after it."""

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.destinations.base import Made, Target
from app.models.imports import VmImport
from app.models.vm import VmConfig
from app.models.vms import Disk, DiskState, Vm, VmState
from app.services import vm_names


async def lock(
    session: AsyncSession, row: VmImport, target: Target, config: VmConfig, proxy_host_id: UUID | None
) -> None:
    """Add the VM and its disks, locked; adding them again changes nothing."""
    if await session.get(Vm, target.vm_id) is not None or row.storage_domain_id is None:
        return
    session.add(
        Vm(
            id=target.vm_id,
            name=target.vm_name,
            description=config.description or "",
            data_center_id=row.data_center_id,
            storage_domain_id=row.storage_domain_id,
            import_id=row.id,
            cpu_count=config.cpu_count,
            memory_bytes=config.memory_bytes,
            os=config.os,
            firmware=config.firmware,
            nics=config.nics,
        )
    )
    await session.flush()
    for disk in target.disks:
        session.add(
            Disk(
                id=disk.id,
                vm_id=target.vm_id,
                number=disk.number,
                alias=f"{target.vm_name}_Disk{disk.number}",
                capacity_bytes=disk.capacity_bytes,
                format=disk.format,
                allocation=disk.allocation,
                proxy_host_id=proxy_host_id,
            )
        )
    row.vm_id = target.vm_id


async def update(session: AsyncSession, vm_id: UUID, made: Made, config: VmConfig) -> None:
    """What virt-v2v made, as it was found; VM and disks stay locked."""
    vm = await session.get(Vm, vm_id)
    if vm is None:
        return
    vm.cpu_count, vm.memory_bytes = config.cpu_count, config.memory_bytes
    vm.os, vm.firmware, vm.nics = config.os, config.firmware, config.nics
    vm.metadata_type, vm.metadata_text, vm.made = made.metadata_type, made.metadata_text, made.keep
    vm.version += 1
    found = {disk.number: disk for disk in made.disks}
    for disk in await _disks(session, vm_id):
        true = found[disk.number]
        disk.capacity_bytes, disk.actual_bytes = true.capacity_bytes, true.actual_bytes
        disk.format, disk.bus, disk.path = true.format, true.bus, true.path
        disk.version += 1


async def set_state(session: AsyncSession, vm_id: UUID, vm_state: VmState, disk_state: DiskState) -> None:
    vm = await session.get(Vm, vm_id)
    if vm is None or vm.state == vm_state:
        return
    vm.state = vm_state
    vm.version += 1
    for disk in await _disks(session, vm_id):
        disk.state = disk_state
        disk.version += 1


async def unlock(session: AsyncSession, row: VmImport, vm_id: UUID) -> None:
    """The VM is the user's from now on, and its name with it."""
    await set_state(session, vm_id, VmState.DOWN, DiskState.OK)
    await vm_names.hand_over(session, row.id, vm_id)


async def remove(session: AsyncSession, row: VmImport, vm_id: UUID) -> None:
    """Take the VM and its disks out of the database again; none there is fine."""
    await session.execute(delete(Disk).where(col(Disk.vm_id) == vm_id))
    await session.execute(delete(Vm).where(col(Vm.id) == vm_id))
    row.vm_id = None


async def _disks(session: AsyncSession, vm_id: UUID) -> list[Disk]:
    found = await session.execute(select(Disk).where(col(Disk.vm_id) == vm_id).order_by(col(Disk.number)))
    return list(found.scalars())
