"""The target of an attempt: the VM's id, its name in files, and a disk for each of the source's."""

import re
from uuid import UUID

from app.actions.examine import allocation_of
from app.destinations.base import Target, TargetDisk
from app.errors import InvalidSourceError
from app.models.columns import new_id
from app.models.imports import DiskFormat
from app.models.vm import SourceDisk, VmConfig
from app.services.specs import VmImportCreate

LONGEST_FILE_NAME = 60


def new_target(
    spec: VmImportCreate,
    config: VmConfig,
    *,
    import_id: UUID,
    attempt_id: UUID,
    attempt_number: int,
    turn: int,
    attempt_dir: str,
) -> Target:
    """A target with ids of its own. Raises InvalidSourceError: no disk, or one whose size is unknown."""
    if not config.disks:
        raise InvalidSourceError("There is no disk to import.")
    return Target(
        import_id=import_id,
        attempt_id=attempt_id,
        attempt_number=attempt_number,
        turn=turn,
        attempt_dir=attempt_dir,
        vm_id=new_id(),
        vm_name=config.name,
        file_name=file_name(config.name),
        disks=tuple(_disk(spec, disk, number) for number, disk in enumerate(config.disks, start=1)),
    )


def _disk(spec: VmImportCreate, disk: SourceDisk, number: int) -> TargetDisk:
    if disk.capacity_bytes is None:
        raise InvalidSourceError(f"The size of disk {disk.label!r} is unknown.")
    return TargetDisk(
        id=new_id(),
        number=number,
        capacity_bytes=disk.capacity_bytes,
        format=_format(spec, disk),
        allocation=allocation_of(disk, spec),
    )


def _format(spec: VmImportCreate, disk: SourceDisk) -> DiskFormat:
    own = next((wanted.format for wanted in spec.disks if wanted.source_disk_id == disk.id), None)
    return own or spec.disk_defaults.format


def file_name(vm_name: str) -> str:
    """The VM's name with only letters, digits, `.`, `_` and `-`, and no leading `.` or `-`."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", vm_name).lstrip(".-_")[:LONGEST_FILE_NAME]
    return safe or "vm"
