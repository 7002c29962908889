"""An oVirt data domain mounted on the proxy hosts: virt-v2v fills volumes that are there already."""

import dataclasses
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import ClassVar, Literal
from uuid import UUID, uuid5

from pydantic import Field

from app.destinations import marked
from app.destinations.base import Made, Target, TargetDisk
from app.destinations.one_way import mixed
from app.destinations.results import (
    identified,
    in_sectors,
    made_disk,
    parsed,
    read_metadata,
    with_buses,
    with_config,
)
from app.errors import AppError, DomainUnusableError, HostError, OutputInvalidError
from app.formats.ovirt_ovf import read_ovirt_ovf, with_identity
from app.formats.ovirt_writer import Volume, write_ovirt_ovf, write_volume_meta
from app.formats.vdsm_meta import DomainClass, key_values
from app.models.columns import now
from app.models.common import HostPath, Json, Shape
from app.models.imports import Allocation, DiskFormat, ImportProperties
from app.models.storage_domains import DomainHostStatus, StorageDomainCreateBase
from app.models.vm import VmConfig
from app.proxy.agent_client import HostAgent, SpaceInfo
from app.v2v.command import V2vOutput
from app.v2v.copying import CopyOutput, CopyTarget

METADATA_TYPE = "application/xml; kind=ovf"
OWNER = (36, 36)
"""vdsm:kvm, whose numbers oVirt fixes on every host and every storage."""
IMAGE_DIRECTORY_MODE = 0o755
VOLUME_MODE = 0o660
META_MODE = 0o644
LONGEST_DOMAIN_METADATA = 64 * 2**10
COMPAT = "1.1"


class OvirtDataSettings(Shape):
    """The mounted domain: the directory, named by the domain's UUID, that holds `dom_md` and `images`."""

    path: HostPath = Field(
        examples=["/rhev/data-center/mnt/nfs.example:_data/0b0ac0ea-6f4d-4a5f-a1d4-1b4a3f6d1c55"]
    )


class OvirtDataDomainCreate(StorageDomainCreateBase):
    """A storage domain that is an oVirt data domain, mounted on the data center's proxy hosts."""

    kind: Literal["ovirt_data"]
    settings: OvirtDataSettings


class OvirtData:
    kind: ClassVar[str] = "ovirt_data"
    title: ClassVar[str] = "oVirt data domain"
    keeps: ClassVar[bool] = True
    Settings: type[OvirtDataSettings] = OvirtDataSettings
    Create: type[StorageDomainCreateBase] = OvirtDataDomainCreate

    def abilities(self, settings: OvirtDataSettings) -> frozenset[str]:
        return frozenset({"output:vdsm"})

    def host_id(self, settings: OvirtDataSettings) -> None:
        return None

    def parents(self, settings: OvirtDataSettings) -> tuple[str, ...]:
        return (f"{settings.path.rstrip('/')}/images",)

    async def check(self, settings: OvirtDataSettings, agent: HostAgent, host_id: UUID) -> DomainHostStatus:
        try:
            space = await _probe(settings, agent)
        except HostError:
            raise
        except AppError as error:
            return DomainHostStatus(proxy_host_id=host_id, usable=False, problem=error.to_problem())
        return DomainHostStatus(
            proxy_host_id=host_id, usable=True, free_bytes=space.free_bytes, total_bytes=space.total_bytes
        )

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        return mixed(properties)

    def plan(self, settings: OvirtDataSettings, target: Target) -> Json:
        return marked.plan_of([_image_directory(settings, disk) for disk in target.disks])

    async def prepare(self, settings: OvirtDataSettings, target: Target, agent: HostAgent) -> None:
        """Each disk's image directory and its empty volume, as vdsm makes them.

        No `.lease` is made: its content is sanlock's, and oVirt writes it when it takes the disk over.
        """
        for disk in target.disks:
            await agent.make_dir(
                _image_directory(settings, disk),
                target.attempt_id,
                target.turn,
                mode=IMAGE_DIRECTORY_MODE,
                owner=OWNER,
            )
            await agent.make_image(
                _volume(settings, disk),
                target.attempt_id,
                target.turn,
                format=disk.format,
                capacity_bytes=in_sectors(disk.capacity_bytes),
                preallocated=disk.allocation is Allocation.PREALLOCATED,
                options=(f"compat={COMPAT}",) if disk.format is DiskFormat.QCOW2 else (),
                mode=VOLUME_MODE,
                owner=OWNER,
            )

    def output(self, settings: OvirtDataSettings, target: Target) -> V2vOutput:
        first = target.disks[0]
        return V2vOutput(
            argv=(
                *("-o", "vdsm"),
                *("-os", settings.path.rstrip("/")),
                *("-of", first.format),
                *("-oa", first.allocation),
                *("-on", target.file_name),
                *(argument for disk in target.disks for argument in _uuids(disk)),
                *("-oo", f"vdsm-vm-uuid={target.vm_id}"),
                *("-oo", f"vdsm-ovf-output={target.attempt_dir}"),
                *("-oo", f"vdsm-compat={COMPAT}"),
            )
        )

    def copy(self, settings: OvirtDataSettings, target: Target, config: VmConfig) -> CopyOutput:
        disks = tuple(
            CopyTarget(_volume(settings, disk), disk.format, disk.capacity_bytes, is_made=True)
            for disk in target.disks
        )
        volumes = [
            Volume(
                image_id=disk.id,
                volume_id=_volume_id(disk),
                capacity_bytes=in_sectors(disk.capacity_bytes),
                is_qcow2=disk.format is DiskFormat.QCOW2,
                is_preallocated=disk.allocation is Allocation.PREALLOCATED,
                bus=source.bus,
            )
            for disk, source in zip(target.disks, config.disks, strict=True)
        ]
        domain_id, at = PurePosixPath(settings.path).name, now()
        ovf = write_ovirt_ovf(config, volumes, vm_id=target.vm_id, domain_id=domain_id, at=at).decode()
        metas = (
            (f"{disk.path}.meta", write_volume_meta(volume, domain_id=domain_id, at=at))
            for disk, volume in zip(disks, volumes, strict=True)
        )
        return CopyOutput(disks, (*metas, (_ovf_path(target), ovf)))

    async def collect(self, settings: OvirtDataSettings, target: Target, agent: HostAgent) -> Made:
        disks = tuple([await made_disk(agent, _volume(settings, disk), disk) for disk in target.disks])
        for disk in target.disks:
            await _check_meta(settings, disk, agent)
        text = await read_metadata(agent, _ovf_path(target))
        names = [f"{disk.id}/{_volume_id(disk)}" for disk in target.disks]
        config = parsed(text, read_ovirt_ovf, names, disks)
        return Made(
            disks=with_buses(disks, config),
            metadata_type=METADATA_TYPE,
            metadata_text=text,
            config=config,
            keep=self.plan(settings, target),
        )

    async def finish(
        self, settings: OvirtDataSettings, target: Target, made: Made, config: VmConfig, agent: HostAgent
    ) -> Made:
        for disk in target.disks:
            volume = _volume(settings, disk)
            for path, mode in ((volume, VOLUME_MODE), (f"{volume}.meta", META_MODE)):
                await agent.set_owner(path, target.attempt_id, target.turn, mode=mode, owner=OWNER)
        data = with_config(with_identity, made, config)
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


async def _probe(settings: OvirtDataSettings, agent: HostAgent) -> SpaceInfo:
    """Raises DomainUnusableError when it is no data domain, or can't be written."""
    root = settings.path.rstrip("/")
    try:
        data = await agent.read_result(f"{root}/dom_md/metadata", limit_bytes=LONGEST_DOMAIN_METADATA)
    except HostError:
        raise
    except AppError as error:
        raise DomainUnusableError(f"{root} holds no `dom_md/metadata`: {error.detail}") from error
    facts = key_values(data.decode(errors="replace"))
    if facts.get("CLASS") != DomainClass.DATA:
        raise DomainUnusableError(f"{root} is of class {facts.get('CLASS')!r}, no data domain.")
    # virt-v2v takes the directory's name for the domain's UUID, and writes it into each volume's metadata.
    if facts.get("SDUUID") != PurePosixPath(root).name:
        raise DomainUnusableError(
            f"{root} must be named by the domain's UUID, {facts.get('SDUUID')!r} in its metadata."
        )
    return await agent.probe_dir(f"{root}/images")


def _image_directory(settings: OvirtDataSettings, disk: TargetDisk) -> str:
    return f"{settings.path.rstrip('/')}/images/{disk.id}"


def _volume_id(disk: TargetDisk) -> UUID:
    """The volume's own id: always the same for a disk, and no other disk's."""
    return uuid5(disk.id, "volume")


def _volume(settings: OvirtDataSettings, disk: TargetDisk) -> str:
    return f"{_image_directory(settings, disk)}/{_volume_id(disk)}"


def _ovf_path(target: Target) -> str:
    return f"{target.attempt_dir}/{target.vm_id}.ovf"


def _uuids(disk: TargetDisk) -> Iterator[str]:
    yield from ("-oo", f"vdsm-image-uuid={disk.id}")
    yield from ("-oo", f"vdsm-vol-uuid={_volume_id(disk)}")


async def _check_meta(settings: OvirtDataSettings, disk: TargetDisk, agent: HostAgent) -> None:
    """The volume's metadata is what oVirt will believe. Raises OutputInvalidError."""
    path = f"{_volume(settings, disk)}.meta"
    facts = key_values(await read_metadata(agent, path))
    expected = {
        "DOMAIN": PurePosixPath(settings.path).name,
        "IMAGE": str(disk.id),
        "FORMAT": "COW" if disk.format is DiskFormat.QCOW2 else "RAW",
        "LEGALITY": "LEGAL",
    }
    wrong = {key: facts.get(key) for key, value in expected.items() if facts.get(key) != value}
    if wrong:
        told = ", ".join(f"{key}={found}" for key, found in wrong.items())
        raise OutputInvalidError(f"The volume's metadata ({path}) is not what was asked for: {told}.")
