"""The Source protocol: where a VM comes from, the `-i` half of virt-v2v."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

from app.models.common import Shape
from app.models.imports import ImportProperties
from app.models.proxy_hosts import VirtV2vStatus
from app.models.vm import VmConfig
from app.providers.base import ProviderAccess, SourceProvider
from app.proxy.agent_client import HostAgent
from app.proxy.mounts import Mount
from app.v2v.command import V2vInput

S = TypeVar("S", bound=Shape)


@dataclass(frozen=True)
class SourceReading:
    """What was found: the VM, and the bytes that its conversion needs in the host's work directory."""

    config: VmConfig
    work_bytes: int
    source: Shape | None = None
    """What the job goes on with, where the source turned out to stand for another one."""
    roots: tuple[str, ...] | None = None
    """The directories that this one may read, instead of the proxy host's `source_roots`."""
    mounts: tuple[Mount, ...] = ()
    """What has to be mounted for the job."""


@dataclass(frozen=True)
class Site:
    """Where a source is read from."""

    agent: HostAgent
    """On the proxy host that the import is to run on."""
    roots: Sequence[str]
    """The directories there that the source may read."""
    provider: SourceProvider | None = None
    """The provider that the spec names; None for a source without one."""
    virt_v2v: VirtV2vStatus | None = None
    """What the proxy host's virt-v2v can do; None when the host was never probed."""


@dataclass(frozen=True)
class Reached:
    """What a source with a provider is given when its half of the command line is built."""

    access: ProviderAccess
    """As the record has it now: after a change of the provider, a later attempt goes by that."""
    virt_v2v: VirtV2vStatus | None
    """Of the proxy host that the command runs on."""


class Source(Protocol[S]):
    """One kind of source. Stateless: everything is in the spec and the config that was read."""

    kind: ClassVar[str]
    title: ClassVar[str]
    Spec: type[S]

    def abilities(self, spec: S) -> frozenset[str]:
        """What the proxy host's virt-v2v must be able to do, in its words: `input:ova`."""

    async def read(self, spec: S, site: Site, *, without: Collection[str] = ()) -> SourceReading:
        """Look at the source and say what it is; changes nothing, opens no image unsafely.

        Disks whose ids are in `without` are not to be imported, and need not be there.

        Raises SourceNotAllowedError, SourceNotFoundError, SourceUnreadableError, InvalidSourceError,
        UnsafeImageError, ProviderError, VmVanishedError, HostError.
        """

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        """(JSON pointer, sentence) of each property that this source can't honour."""

    def input(
        self,
        spec: S,
        config: VmConfig,
        properties: ImportProperties,
        attempt_dir: str,
        reached: Reached | None = None,
    ) -> V2vInput:
        """The input half of the command line, and the files that it needs in the attempt's directory.

        `config` is the VM as `read` found it. A secret goes into a file that says so
        (`V2vFile(secret=True)`), never into `argv`, `environment` or `preparation`.
        """
