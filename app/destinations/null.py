"""A rehearsal: the VM is converted and copied, and nothing is kept."""

from typing import ClassVar, Literal
from uuid import UUID

from app.destinations.base import Made, MadeDisk, Target
from app.destinations.one_way import mixed
from app.models.common import Json, Shape
from app.models.imports import ImportProperties
from app.models.storage_domains import DomainHostStatus, StorageDomainCreateBase
from app.models.vm import VmConfig
from app.proxy.agent_client import HostAgent
from app.v2v.command import V2vOutput
from app.v2v.copying import CopyOutput, CopyTarget


class NullSettings(Shape):
    """A rehearsal needs no place."""


class NullDomainCreate(StorageDomainCreateBase):
    """A storage domain for rehearsals: imports into it convert, and keep nothing."""

    kind: Literal["null"]
    settings: NullSettings = NullSettings()


class Null:
    kind: ClassVar[str] = "null"
    title: ClassVar[str] = "Rehearsal"
    keeps: ClassVar[bool] = False
    Settings: type[NullSettings] = NullSettings
    Create: type[StorageDomainCreateBase] = NullDomainCreate

    def abilities(self, settings: NullSettings) -> frozenset[str]:
        return frozenset({"output:null"})

    def host_id(self, settings: NullSettings) -> None:
        return None

    def parents(self, settings: NullSettings) -> tuple[str, ...]:
        return ()

    async def check(self, settings: NullSettings, agent: HostAgent, host_id: UUID) -> DomainHostStatus:
        return DomainHostStatus(proxy_host_id=host_id, usable=True)

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        return mixed(properties)

    def plan(self, settings: NullSettings, target: Target) -> Json:
        return {}

    async def prepare(self, settings: NullSettings, target: Target, agent: HostAgent) -> None:
        """Nothing has to be there."""

    def output(self, settings: NullSettings, target: Target) -> V2vOutput:
        return V2vOutput(argv=("-o", "null"))

    def copy(self, settings: NullSettings, target: Target, config: VmConfig) -> CopyOutput:
        return CopyOutput(tuple(CopyTarget(None, disk.format, disk.capacity_bytes) for disk in target.disks))

    async def collect(self, settings: NullSettings, target: Target, agent: HostAgent) -> Made:
        """The disks as they would have been: the exit code is all that a rehearsal leaves."""
        disks = tuple(
            MadeDisk(
                number=disk.number,
                path=None,
                capacity_bytes=disk.capacity_bytes,
                actual_bytes=0,
                format=disk.format,
            )
            for disk in target.disks
        )
        return Made(disks=disks, metadata_type=None, metadata_text=None, config=None, keep={})

    async def finish(
        self, settings: NullSettings, target: Target, made: Made, config: VmConfig, agent: HostAgent
    ) -> Made:
        return made

    async def release(self, plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
        """Nothing was made."""

    async def reclaim(self, plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
        """Nothing was made."""

    async def discard(self, plan: Json, agent: HostAgent, owner_id: UUID, turn: int) -> None:
        """There is nothing."""

    async def remove(self, plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
        """Nothing was made."""
