"""What a proxy host finds in a folder that may hold many VMs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from app.errors import AppError
from app.proxy.answers import error_of, read_as

WALK_SECONDS: Final = 60.0
ANSWER_SECONDS: Final = 120.0
MOST_ENTRIES: Final = 1000
"""What is told of one folder; each takes a look of its own."""


class FolderForm(StrEnum):
    OVA = "ova"
    OVF = "ovf"
    LIBVIRT_XML = "libvirt_xml"
    VMX = "vmx"
    DISK = "disk"
    EXPORT_DOMAIN = "export_domain"


class FolderEntry(BaseModel):
    """Something that may be a VM, or a part of one. `references` are files that an image refers to."""

    model_config = ConfigDict(frozen=True)

    path: str
    form: FolderForm
    references: tuple[str, ...] = ()


class Refused(BaseModel):
    """What can't be looked at, and why; the path is mended where it is no text."""

    model_config = ConfigDict(frozen=True)

    path: str
    code: str
    detail: str

    def error(self) -> AppError:
        return error_of(self.code, self.detail)


class Walked(BaseModel):
    model_config = ConfigDict(frozen=True)

    entries: tuple[FolderEntry, ...]
    refused: tuple[Refused, ...]
    complete: bool
    """False when there is more, deeper or later, than is looked at."""


class FolderAgent(ABC):
    """The part of a HostAgent that has to do with folders."""

    @abstractmethod
    async def _ask(self, verb: str, timeout_seconds: float = ..., **request: Any) -> Any: ...

    async def walk(self, path: str, *, roots: Sequence[str]) -> Walked:
        """Look through a folder and those below it, hidden ones and links to folders left out.

        Raises SourceNotFoundError, SourceNotAllowedError, SourceUnreadableError, InvalidSourceError.
        """
        bounds = {"most": MOST_ENTRIES, "seconds": WALK_SECONDS}
        answer = await self._ask("walk", ANSWER_SECONDS, path=path, roots=list(roots), **bounds)
        return read_as(Walked, answer)
