"""An oVirt storage domain on the proxy host: where its VMs are described, and where their disks lie."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.errors import InvalidSourceError, SourceNotFoundError, SourceTruncatedError, UnsafeImageError
from app.formats.vdsm_meta import DomainClass, VolumeMeta, key_values, read_volume_meta
from app.models.vm import DiskFault, ImageFile, SourceDisk
from app.proxy.agent_client import HostAgent, PathKind
from app.proxy.ovirt import Volume

LONGEST_METADATA: Final = 64 * 2**10
LONGEST_OVF: Final = 4 * 2**20
VMS, OVF = "master/vms", ".ovf"
_ID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class OvirtDomain:
    """`path` is the real one; `stores` are the volumes that hold the OVFs of a data domain, newest first."""

    path: str
    roots: tuple[str, ...]
    kind: DomainClass
    facts: Mapping[str, str]
    stores: tuple[str, ...] = ()

    @property
    def images(self) -> str:
        return f"{self.path}/images"

    @property
    def is_attached(self) -> bool:
        """Whether some engine may be running VMs from it."""
        return self.kind is DomainClass.DATA and bool(self.facts.get("POOL_UUID"))


async def open_domain(path: str, agent: HostAgent, roots: Sequence[str]) -> OvirtDomain:
    """Raises SourceNotAllowedError, SourceNotFoundError, SourceUnreadableError, InvalidSourceError."""
    found = await agent.look(path, roots=roots)
    if found.kind is not PathKind.DIRECTORY:
        raise InvalidSourceError(f"{path!r} is no directory of an oVirt storage domain.")
    facts = await _facts(found.path, agent, roots)
    kind = _class(facts.get("CLASS", ""))
    domain = OvirtDomain(found.path, tuple(roots), kind, facts)
    if kind is DomainClass.EXPORT:
        return domain
    return replace(domain, stores=await agent.ovf_stores(domain.images, roots=roots))


def _class(name: str) -> DomainClass:
    try:
        return DomainClass(name)
    except ValueError as error:
        told = f"The domain is of class {name[:40]!r}; export and data domains hold VMs."
        raise InvalidSourceError(told) from error


async def _facts(path: str, agent: HostAgent, roots: Sequence[str]) -> dict[str, str]:
    try:
        data = await agent.read(f"{path}/dom_md/metadata", roots=roots, limit_bytes=LONGEST_METADATA)
    except SourceNotFoundError as error:
        raise InvalidSourceError(
            f"{path!r} holds no `dom_md/metadata`: it is no oVirt storage domain of files."
        ) from error
    return key_values(data.decode(errors="replace"))


async def vm_ids(domain: OvirtDomain, agent: HostAgent) -> tuple[str, ...]:
    """The ids of the VMs that the domain describes. Raises as `open_domain`."""
    names = set(await _vms_in_files(domain, agent))
    for store in domain.stores:
        try:
            members = (await agent.tar_list(store, roots=domain.roots)).members
        except InvalidSourceError:
            # An engine writes them in turn, so that one is whole when it is ended in the middle.
            continue
        names.update(member.name.removesuffix(OVF) for member in members if member.name.endswith(OVF))
        break
    return tuple(sorted(name for name in names if _ID.fullmatch(name)))


async def _vms_in_files(domain: OvirtDomain, agent: HostAgent) -> tuple[str, ...]:
    try:
        return (await agent.look(f"{domain.path}/{VMS}", roots=domain.roots)).names
    except SourceNotFoundError:
        return ()


async def read_description(domain: OvirtDomain, vm_id: str, agent: HostAgent) -> bytes:
    """The OVF of a VM. Raises SourceNotFoundError, InvalidSourceError, SourceUnreadableError."""
    for store in domain.stores:
        try:
            return await agent.tar_read(store, f"{vm_id}{OVF}", roots=domain.roots, limit_bytes=LONGEST_OVF)
        except InvalidSourceError:
            continue
        except SourceNotFoundError:
            break
    path = f"{domain.path}/{VMS}/{vm_id}/{vm_id}{OVF}"
    return await agent.read(path, roots=domain.roots, limit_bytes=LONGEST_OVF)


async def with_volumes(
    domain: OvirtDomain, disks: Sequence[SourceDisk], agent: HostAgent, *, without: Collection[str]
) -> tuple[SourceDisk, ...]:
    """The disks with the chains of volumes that they are, each looked at safely.

    Those in `without`, and those on another storage, stay as they are described.

    Raises DiskMissingError, InvalidSourceError, UnsafeImageError, SourceUnreadableError, HostError.
    """
    return tuple(
        [
            disk if disk.id in without or not disk.path else await _with_volumes(domain, disk, agent)
            for disk in disks
        ]
    )


async def _with_volumes(domain: OvirtDomain, disk: SourceDisk, agent: HostAgent) -> SourceDisk:
    image_id, _, volume_id = (disk.path or "").lower().partition("/")
    volumes = await agent.volume_chain(domain.images, image_id, volume_id, roots=domain.roots)
    metas = [_meta(volume) for volume in volumes]
    chain = [
        ImageFile(path=volume.path, format=meta.format) for volume, meta in zip(volumes, metas, strict=True)
    ]
    image = await agent.image_info(
        chain[0].path,
        roots=domain.roots,
        format=chain[0].format,
        beside=[file.path for file in chain[1:]],
    )
    if [ImageFile(path=image.path, format=image.format), *image.chain] != chain:
        raise UnsafeImageError(f"Disk {disk.label!r} stands on other files than its metadata says.")
    return disk.model_copy(
        update={
            "path": image.path,
            "format": image.format,
            "chain": image.chain,
            "capacity_bytes": image.virtual_bytes,
            "used_bytes": image.actual_bytes + image.chain_bytes,
            "fault": _fault(metas),
        }
    )


def _meta(volume: Volume) -> VolumeMeta:
    """Raises InvalidSourceError, SourceTruncatedError."""
    meta = read_volume_meta(volume.meta, repr(volume.path))
    if meta.format == "raw" and volume.size_bytes < (meta.capacity_bytes or 0):
        raise SourceTruncatedError(
            f"{volume.path!r} has {volume.size_bytes} bytes; its metadata says {meta.capacity_bytes}."
        )
    return meta


def _fault(metas: Sequence[VolumeMeta]) -> DiskFault | None:
    if not all(meta.is_legal for meta in metas):
        return DiskFault.ILLEGAL
    return None if metas[0].is_leaf else DiskFault.OUTDATED
