"""Looks at the image of each disk that a description names."""

import posixpath
from collections.abc import Collection, Sequence

from app.errors import InvalidSourceError, SourceNotAllowedError, SourceNotFoundError
from app.models.vm import SourceDisk
from app.proxy.agent_client import HostAgent, ImageInfo

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

    What is not at its absolute path, or not to be read there, is looked for in `directory` by its name: files
    move, and their descriptions stay as they were.

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
    image = await _image(agent, disk.path, disk.format, directory, roots)
    return disk.model_copy(
        update={
            "path": image.path,
            "format": image.format,
            "capacity_bytes": image.virtual_bytes,
            "used_bytes": image.actual_bytes + image.chain_bytes,
            "chain": image.chain,
        }
    )


async def _image(
    agent: HostAgent, path: str, format_name: str | None, directory: str, roots: Sequence[str]
) -> ImageInfo:
    if not path.startswith("/"):
        return await agent.image_info(f"{directory}/{path}", roots=roots, format=format_name)
    try:
        return await agent.image_info(path, roots=roots, format=format_name)
    except (SourceNotAllowedError, SourceNotFoundError) as error:
        beside = f"{directory}/{posixpath.basename(path)}"
        try:
            return await agent.image_info(beside, roots=roots, format=format_name)
        except SourceNotFoundError:
            raise error from None
