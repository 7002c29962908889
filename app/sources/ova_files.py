"""The files in an OVA, alike for a tar and for the folder that one was extracted to."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.errors import DiskMissingError, InvalidSourceError, SourceNotFoundError
from app.proxy.agent_client import HostAgent, ImageInfo, PathKind


class OvaFiles(Protocol):
    """Names are relative to the OVA; `is_compressed`: it can only be read from its beginning."""

    @property
    def names(self) -> frozenset[str]: ...

    @property
    def is_compressed(self) -> bool: ...

    def place(self, name: str) -> str:
        """How the host's agent is to be told of the file."""

    async def read(self, name: str, *, limit_bytes: int) -> bytes:
        """A whole file. Raises InvalidSourceError when it isn't there or too long."""

    async def image(self, name: str, compression: str | None) -> ImageInfo:
        """A disk image, looked at safely. Raises DiskMissingError, InvalidSourceError, UnsafeImageError."""


async def files_of(path: str, agent: HostAgent, roots: Sequence[str]) -> OvaFiles:
    """Raises SourceNotAllowedError, SourceNotFoundError, SourceUnreadableError, InvalidSourceError."""
    found = await agent.look(path, roots=roots)
    if found.kind is PathKind.DIRECTORY:
        return _Folder(found.path, agent, roots, frozenset(found.names))
    if found.kind is not PathKind.FILE:
        raise InvalidSourceError(f"{path!r} is neither a file nor a folder.")
    index = await agent.tar_list(path, roots=roots)
    return _Tar(path, agent, roots, frozenset(member.name for member in index.members), index.compressed)


@dataclass(frozen=True)
class _Tar:
    path: str
    agent: HostAgent
    roots: Sequence[str]
    names: frozenset[str]
    is_compressed: bool

    def place(self, name: str) -> str:
        return name

    async def read(self, name: str, *, limit_bytes: int) -> bytes:
        return await self.agent.tar_read(self.path, name, roots=self.roots, limit_bytes=limit_bytes)

    async def image(self, name: str, compression: str | None) -> ImageInfo:
        if name not in self.names:
            raise DiskMissingError(f"The OVA lacks the disk {name!r} that its OVF names.")
        image = await self.agent.tar_image_info(self.path, name, roots=self.roots)
        if compression and not image.compression:
            raise InvalidSourceError(f"{name!r} is not compressed with {compression}, as the OVF says.")
        return image


@dataclass(frozen=True)
class _Folder:
    path: str
    agent: HostAgent
    roots: Sequence[str]
    names: frozenset[str]
    """Of the folder itself; disks may also lie in folders below."""
    is_compressed: bool = False

    def place(self, name: str) -> str:
        return posixpath.join(self.path, name)

    async def read(self, name: str, *, limit_bytes: int) -> bytes:
        return await self.agent.read(self.place(name), roots=self.roots, limit_bytes=limit_bytes)

    async def image(self, name: str, compression: str | None) -> ImageInfo:
        look = self.agent.gzip_image_info if compression else self.agent.image_info
        try:
            return await look(self.place(name), roots=self.roots)
        except SourceNotFoundError as error:
            raise DiskMissingError(f"The OVA lacks the disk {name!r} that its OVF names.") from error
