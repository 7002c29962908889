"""The files in an OVA, alike for a tar and for the folder that one was extracted to."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.errors import InvalidSourceError, SourceNotFoundError
from app.proxy.agent_client import HostAgent, ImageInfo, PathKind


class OvaFiles(Protocol):
    """Names are relative to the OVA; `work_bytes` is what virt-v2v unpacks into the host's work directory."""

    @property
    def names(self) -> frozenset[str]: ...

    @property
    def work_bytes(self) -> int: ...

    def lacks(self, name: str) -> bool:
        """Whether it is sure that there is no such file."""

    async def read(self, name: str, *, limit_bytes: int) -> bytes:
        """A whole file. Raises InvalidSourceError when it isn't there or too long."""

    async def image(self, name: str) -> ImageInfo:
        """A disk image, looked at safely. Raises InvalidSourceError, UnsafeImageError."""


async def files_of(path: str, agent: HostAgent, roots: Sequence[str]) -> OvaFiles:
    """Raises SourceNotAllowedError, SourceNotFoundError, SourceUnreadableError, InvalidSourceError."""
    found = await agent.look(path, roots=roots)
    if found.kind is PathKind.DIRECTORY:
        return _Folder(found.path, agent, roots, frozenset(found.names))
    if found.kind is not PathKind.FILE:
        raise InvalidSourceError(f"{path!r} is neither a file nor a folder.")
    index = await agent.tar_list(path, roots=roots)
    sizes = {member.name: member.size_bytes for member in index.members}
    # virt-v2v reads the disks of a plain tar where they lie, and unpacks a compressed one whole.
    work_bytes = sum(sizes.values()) if index.compressed else 0
    return _Tar(path, agent, roots, frozenset(sizes), work_bytes)


@dataclass(frozen=True)
class _Tar:
    path: str
    agent: HostAgent
    roots: Sequence[str]
    names: frozenset[str]
    work_bytes: int

    def lacks(self, name: str) -> bool:
        return name not in self.names

    async def read(self, name: str, *, limit_bytes: int) -> bytes:
        return await self.agent.tar_read(self.path, name, roots=self.roots, limit_bytes=limit_bytes)

    async def image(self, name: str) -> ImageInfo:
        if name not in self.names:
            raise InvalidSourceError(f"The OVA lacks the disk {name!r} that its OVF names.")
        return await self.agent.tar_image_info(self.path, name, roots=self.roots)


@dataclass(frozen=True)
class _Folder:
    path: str
    agent: HostAgent
    roots: Sequence[str]
    names: frozenset[str]
    """Of the folder itself; disks may also lie in folders below."""
    work_bytes: int = 0

    def lacks(self, name: str) -> bool:
        return "/" not in name and name not in self.names

    async def read(self, name: str, *, limit_bytes: int) -> bytes:
        return await self.agent.read(self._path(name), roots=self.roots, limit_bytes=limit_bytes)

    async def image(self, name: str) -> ImageInfo:
        try:
            return await self.agent.image_info(self._path(name), roots=self.roots)
        except SourceNotFoundError as error:
            raise InvalidSourceError(f"The OVA lacks the disk {name!r} that its OVF names.") from error

    def _path(self, name: str) -> str:
        return posixpath.join(self.path, name)
