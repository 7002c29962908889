"""Reads what virt-v2v wrote to a storage domain, and says what is wrong with it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

from app.destinations.base import Made, MadeDisk, TargetDisk
from app.errors import AppError, HostError, OutputInvalidError
from app.formats.xml_text import expressible
from app.models.vm import SourceDisk, SourceNic, VmConfig
from app.proxy.agent_client import HostAgent

SECTOR_BYTES = 512
LONGEST_METADATA = 4 * 2**20


def in_sectors(size_bytes: int) -> int:
    """The size of a disk that holds so many bytes: disks consist of whole sectors."""
    return -(-size_bytes // SECTOR_BYTES) * SECTOR_BYTES


async def made_disk(agent: HostAgent, path: str, wanted: TargetDisk) -> MadeDisk:
    """The disk at `path`. Raises OutputInvalidError when it isn't there, unreadable, or of another size."""
    try:
        found = await agent.disk_result(path, format=wanted.format)
    except HostError:
        raise
    except AppError as error:
        raise OutputInvalidError(f"Disk {wanted.number} ({path}): {error.detail}") from error
    expected = in_sectors(wanted.capacity_bytes)
    if in_sectors(found.virtual_bytes) != expected:
        raise OutputInvalidError(
            f"Disk {wanted.number} ({path}) has a virtual size of {found.virtual_bytes} bytes; "
            f"the source's is {wanted.capacity_bytes}."
        )
    return MadeDisk(
        number=wanted.number,
        path=path,
        capacity_bytes=found.virtual_bytes,
        actual_bytes=found.actual_bytes,
        format=found.format,
    )


async def read_metadata(agent: HostAgent, path: str) -> str:
    """The metadata file at `path`. Raises OutputInvalidError when it isn't there, too long or no UTF-8."""
    try:
        data = await agent.read_result(path, limit_bytes=LONGEST_METADATA)
        return data.decode()
    except HostError:
        raise
    except AppError as error:
        raise OutputInvalidError(f"The metadata ({path}): {error.detail}") from error
    except UnicodeDecodeError as error:
        raise OutputInvalidError(f"The metadata ({path}) is no UTF-8.") from error


def parsed(
    text: str, read: Callable[[bytes], VmConfig], names: Sequence[str], disks: Sequence[MadeDisk]
) -> VmConfig:
    """The VM in the metadata, its disks in the order of those that were made; `names` is what it calls them.

    Raises OutputInvalidError when it doesn't parse, or its disks are others.
    """
    try:
        config = read(text.encode())
    except AppError as error:
        raise OutputInvalidError(f"virt-v2v's metadata can't be read: {error.detail}") from error
    if len(config.disks) != len(disks):
        raise OutputInvalidError(
            f"virt-v2v's metadata has {len(config.disks)} disks instead of {len(disks)}."
        )
    described = {disk.path: disk for disk in config.disks}
    ordered = tuple(
        _described(described.get(name), name, disk) for name, disk in zip(names, disks, strict=True)
    )
    return config.model_copy(update={"disks": ordered})


def _described(found: SourceDisk | None, name: str, made: MadeDisk) -> SourceDisk:
    if found is None:
        raise OutputInvalidError(f"virt-v2v's metadata doesn't name disk {made.number} ({name}).")
    if found.format not in {None, made.format}:
        raise OutputInvalidError(
            f"virt-v2v's metadata calls disk {made.number} {found.format!r}; it is {made.format!r}."
        )
    return found


def with_buses(disks: tuple[MadeDisk, ...], config: VmConfig) -> tuple[MadeDisk, ...]:
    """The disks, each on the bus that the metadata gives it."""
    return tuple(
        dataclasses.replace(disk, bus=described.bus)
        for disk, described in zip(disks, config.disks, strict=True)
    )


class IdentityWriter(Protocol):
    """Gives metadata of one form another identity."""

    def __call__(
        self,
        data: bytes,
        *,
        name: str,
        cpu_count: int | None,
        memory_bytes: int | None,
        description: str | None,
        nics: Sequence[SourceNic],
    ) -> bytes: ...


def with_config(write: IdentityWriter, made: Made, config: VmConfig) -> bytes:
    """The metadata that virt-v2v wrote, with the identity that was asked for."""
    return write(
        (made.metadata_text or "").encode(),
        name=expressible(config.name),
        cpu_count=config.cpu_count,
        memory_bytes=config.memory_bytes,
        description=None if config.description is None else expressible(config.description),
        nics=config.nics,
    )


def identified(found: VmConfig, wanted: VmConfig) -> VmConfig:
    """The VM as virt-v2v left it, with the identity that was asked for."""
    return found.model_copy(
        update={
            "name": wanted.name,
            "cpu_count": wanted.cpu_count or found.cpu_count,
            "memory_bytes": wanted.memory_bytes or found.memory_bytes,
            "description": wanted.description,
            "nics": wanted.nics,
        }
    )
