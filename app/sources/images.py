"""Looks at the image of each disk that a description names."""

from collections.abc import Collection, Sequence

from app.errors import InvalidSourceError
from app.models.vm import SourceDisk
from app.proxy.agent_client import HostAgent

MOST_DISKS = 255
"""As many as virt-v2v's appliance can hold."""


async def looked_at(
    agent: HostAgent,
    disks: Sequence[SourceDisk],
    directory: str,
    roots: Sequence[str],
    *,
    without: Collection[str],
) -> tuple[SourceDisk, ...]:
    """The disks with real paths, true formats and sizes; relative paths begin at `directory`.

    Those in `without`, and those that are no file or block device, stay as they are described.

    Raises SourceNotAllowedError, SourceNotFoundError, SourceUnreadableError, InvalidSourceError,
    UnsafeImageError, HostError.
    """
    check_number(disks)
    return tuple(
        [disk if disk.id in without else await _looked_at(agent, disk, directory, roots) for disk in disks]
    )


def check_number(disks: Sequence[SourceDisk]) -> None:
    """Raises InvalidSourceError."""
    if len(disks) > MOST_DISKS:
        raise InvalidSourceError(f"The VM has {len(disks)} disks; virt-v2v takes at most {MOST_DISKS}.")


async def _looked_at(agent: HostAgent, disk: SourceDisk, directory: str, roots: Sequence[str]) -> SourceDisk:
    if not disk.path:
        return disk
    path = disk.path if disk.path.startswith("/") else f"{directory}/{disk.path}"
    image = await agent.image_info(path, roots=roots, format=disk.format)
    return disk.model_copy(
        update={
            "path": image.path,
            "format": image.format,
            "capacity_bytes": image.virtual_bytes,
            "used_bytes": image.actual_bytes,
        }
    )
