"""The Destination protocol: where a VM goes, the `-o` half of virt-v2v."""

from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar
from uuid import UUID

from app.models.common import Json, Shape
from app.models.imports import Allocation, DiskFormat, ImportProperties
from app.models.storage_domains import DomainHostStatus, StorageDomainCreateBase
from app.models.vm import VmConfig
from app.proxy.agent_client import HostAgent
from app.v2v.command import V2vOutput
from app.v2v.copying import CopyOutput

S = TypeVar("S", bound=Shape)


@dataclass(frozen=True)
class TargetDisk:
    """A disk to be made: `id` is our disk row's, `number` counts from 1 in the order of the copy."""

    id: UUID
    number: int
    capacity_bytes: int
    format: DiskFormat
    allocation: Allocation


@dataclass(frozen=True)
class Target:
    """One attempt's place on a storage domain; no two attempts share a path, a volume name or a disk id."""

    import_id: UUID
    attempt_id: UUID
    attempt_number: int
    turn: int
    attempt_dir: str
    vm_id: UUID
    vm_name: str
    file_name: str
    """The VM's name made safe for file names; what virt-v2v is told with `-on`."""
    disks: tuple[TargetDisk, ...]


@dataclass(frozen=True)
class MadeDisk:
    """A disk as it was found after the copy."""

    number: int
    path: str | None
    capacity_bytes: int
    actual_bytes: int
    format: str
    bus: str | None = None


@dataclass(frozen=True)
class Made:
    """What virt-v2v made: the disks in order, and the metadata that it wrote (None for a rehearsal)."""

    disks: tuple[MadeDisk, ...]
    metadata_type: str | None
    """`application/xml; kind=libvirt-domain`, `application/xml; kind=ovf`."""
    metadata_text: str | None
    config: VmConfig | None
    """The VM as the metadata has it."""
    keep: Json
    """What `remove` needs to take it all away again, later and without the attempt."""


class Destination(Protocol[S]):
    """One kind of storage domain. Stateless: everything is in the settings and the target."""

    kind: ClassVar[str]
    title: ClassVar[str]
    keeps: ClassVar[bool]
    """False for a rehearsal: no VM remains."""
    Settings: type[S]
    Create: type[StorageDomainCreateBase]

    def abilities(self, settings: S) -> frozenset[str]:
        """What the proxy host's virt-v2v must be able to do, in its words: `output:vdsm`."""

    def host_id(self, settings: S) -> UUID | None:
        """The only proxy host that holds the domain, or None when each of the data center does."""

    def parents(self, settings: S) -> tuple[str, ...]:
        """The directories in which `prepare` makes marked ones: where what was left behind is looked for."""

    async def check(self, settings: S, agent: HostAgent, host_id: UUID) -> DomainHostStatus:
        """Look whether the host can use the domain: really write, read and delete; free and total bytes.

        An unusable domain is an answer; only a host that can't be used raises (HostError).
        """

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        """(JSON pointer, sentence) of each property that this destination can't honour."""

    def plan(self, settings: S, target: Target) -> Json:
        """What `prepare` will make, as data: recorded as the attempt's artifact before it is made."""

    async def prepare(self, settings: S, target: Target, agent: HostAgent) -> None:
        """Make what must be there before virt-v2v starts; may run twice.

        Raises DomainUnusableError, NoRoomError, HostError.
        """

    def output(self, settings: S, target: Target) -> V2vOutput:
        """The output half of the command line."""

    def copy(self, settings: S, target: Target, config: VmConfig) -> CopyOutput:
        """Where disks are copied to without virt-v2v, and the metadata that it would write beside them."""

    async def collect(self, settings: S, target: Target, agent: HostAgent) -> Made:
        """Read what virt-v2v made and check it: every disk there and none more, each readable, alone, of the
        right size and format; the metadata parses, and names exactly these disks.

        Raises OutputInvalidError, HostError.
        """

    async def finish(
        self, settings: S, target: Target, made: Made, config: VmConfig, agent: HostAgent
    ) -> Made:
        """Write the VM's true name and properties (`config`) into the metadata, set owners; may run twice."""

    async def release(self, plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
        """Take our markers off what was made: it belongs to the VM from now on. May run twice."""

    async def reclaim(self, plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
        """The reverse of `release`: mark again what is still there, so that it may be found and removed."""

    async def discard(self, plan: Json, agent: HostAgent, owner_id: UUID, turn: int) -> None:
        """As `remove`, of what may have been released: also where there is no room for marks."""

    async def remove(self, plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
        """Remove everything in the plan; may run twice and may find half. Raises HostError."""
