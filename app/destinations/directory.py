"""A directory on the proxy hosts: image files and a libvirt XML for each VM."""

import dataclasses
import re
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from app.destinations import marked
from app.destinations.base import Made, Target, TargetDisk
from app.destinations.one_way import mixed
from app.destinations.results import (
    identified,
    made_disk,
    parsed,
    read_metadata,
    with_buses,
    with_config,
)
from app.errors import AppError, HostError, OutputInvalidError
from app.formats.domain_writer import drive_letters, write_domain
from app.formats.domain_xml import read_domain_xml, with_identity
from app.models.common import HostPath, Json, Shape
from app.models.imports import Allocation, ImportProperties
from app.models.storage_domains import DomainHostStatus, StorageDomainCreateBase
from app.models.vm import VmConfig
from app.proxy.agent_client import HostAgent
from app.v2v.command import V2vOutput
from app.v2v.copying import CopyOutput, CopyTarget

METADATA_TYPE = "application/xml; kind=libvirt-domain"


class DirectorySettings(Shape):
    """A directory; without `proxy_host_id`, the same file system on each proxy host of the data center."""

    path: HostPath = Field(examples=["/srv/imported"])
    proxy_host_id: UUID | None = None


class DirectoryDomainCreate(StorageDomainCreateBase):
    """A storage domain that is a directory of image files."""

    kind: Literal["directory"]
    settings: DirectorySettings


class Directory:
    kind: ClassVar[str] = "directory"
    title: ClassVar[str] = "Directory"
    keeps: ClassVar[bool] = True
    Settings: type[DirectorySettings] = DirectorySettings
    Create: type[StorageDomainCreateBase] = DirectoryDomainCreate

    def abilities(self, settings: DirectorySettings) -> frozenset[str]:
        return frozenset({"output:local"})

    def host_id(self, settings: DirectorySettings) -> UUID | None:
        return settings.proxy_host_id

    def parents(self, settings: DirectorySettings) -> tuple[str, ...]:
        return (settings.path.rstrip("/") or "/",)

    async def check(self, settings: DirectorySettings, agent: HostAgent, host_id: UUID) -> DomainHostStatus:
        try:
            space = await agent.probe_dir(settings.path)
        except HostError:
            raise
        except AppError as error:
            return DomainHostStatus(proxy_host_id=host_id, usable=False, problem=error.to_problem())
        return DomainHostStatus(
            proxy_host_id=host_id, usable=True, free_bytes=space.free_bytes, total_bytes=space.total_bytes
        )

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        return mixed(properties)

    def plan(self, settings: DirectorySettings, target: Target) -> Json:
        return marked.plan_of([_directory(settings, target)])

    async def prepare(self, settings: DirectorySettings, target: Target, agent: HostAgent) -> None:
        await agent.make_dir(_directory(settings, target), target.attempt_id, target.turn)

    def output(self, settings: DirectorySettings, target: Target) -> V2vOutput:
        first = target.disks[0]
        return V2vOutput(
            argv=(
                *("-o", "local"),
                *("-os", _directory(settings, target)),
                *("-of", first.format),
                *("-oa", first.allocation),
                *("-on", target.file_name),
            )
        )

    def copy(self, settings: DirectorySettings, target: Target, config: VmConfig) -> CopyOutput:
        directory = _directory(settings, target)
        disks = tuple(_copied(directory, target, disk) for disk in target.disks)
        described = tuple(
            disk.model_copy(update={"path": made.path, "format": made.format})
            for disk, made in zip(config.disks, disks, strict=True)
        )
        text = write_domain(config, described, "kvm").decode()
        return CopyOutput(disks, ((_metadata_path(settings, target), text),))

    async def collect(self, settings: DirectorySettings, target: Target, agent: HostAgent) -> Made:
        directory = _directory(settings, target)
        disks = tuple(
            [
                await made_disk(agent, _disk_path(directory, target, disk.number), disk)
                for disk in target.disks
            ]
        )
        await _check_names(directory, target, agent)
        text = await read_metadata(agent, _metadata_path(settings, target))
        names = [_disk_path(directory, target, disk.number) for disk in target.disks]
        config = parsed(text, read_domain_xml, names, disks)
        return Made(
            disks=with_buses(disks, config),
            metadata_type=METADATA_TYPE,
            metadata_text=text,
            config=config,
            keep=self.plan(settings, target),
        )

    async def finish(
        self, settings: DirectorySettings, target: Target, made: Made, config: VmConfig, agent: HostAgent
    ) -> Made:
        data = with_config(with_identity, made, config)
        await agent.put_file(_metadata_path(settings, target), data, target.attempt_id, target.turn)
        found = identified(made.config or config, config)
        return dataclasses.replace(made, metadata_text=data.decode(), config=found)

    async def release(self, plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
        await marked.release(plan, agent, attempt_id, turn)

    async def reclaim(self, plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
        await marked.reclaim(plan, agent, attempt_id, turn)

    async def discard(self, plan: Json, agent: HostAgent, owner_id: UUID, turn: int) -> None:
        await marked.discard(plan, agent, owner_id, turn)

    async def remove(self, plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
        await marked.remove(plan, agent, attempt_id, turn)


def _directory(settings: DirectorySettings, target: Target) -> str:
    # The end of the id: ids sort by time, so attempts of the same minute begin alike.
    return f"{settings.path.rstrip('/')}/{target.file_name}-{target.attempt_id.hex[-8:]}"


def _metadata_path(settings: DirectorySettings, target: Target) -> str:
    return f"{_directory(settings, target)}/{target.file_name}.xml"


def _disk_path(directory: str, target: Target, number: int) -> str:
    return f"{directory}/{target.file_name}-{_drive(number)}"


async def _check_names(directory: str, target: Target, agent: HostAgent) -> None:
    """No disk more than there should be. Whatever else lies there belongs to the VM and goes with it.

    Raises OutputInvalidError.
    """
    pattern = re.compile(re.escape(target.file_name) + "-sd[a-z]+")
    expected = {f"{target.file_name}-{_drive(disk.number)}" for disk in target.disks}
    found = await agent.list_result(directory)
    surplus = [name for name in found if pattern.fullmatch(name) and name not in expected]
    if surplus:
        raise OutputInvalidError(f"virt-v2v made disks that the source doesn't have: {', '.join(surplus)}.")


def _drive(number: int) -> str:
    """How virt-v2v names the disk of that number (from 1)."""
    return f"sd{drive_letters(number)}"


def _copied(directory: str, target: Target, disk: TargetDisk) -> CopyTarget:
    return CopyTarget(
        path=_disk_path(directory, target, disk.number),
        format=disk.format,
        capacity_bytes=disk.capacity_bytes,
        is_preallocated=disk.allocation is Allocation.PREALLOCATED,
    )
