"""A VM in an OVA: a tar, a compressed tar, or the folder that one was extracted to."""

import hashlib
import posixpath
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from app.errors import DiskMissingError, InvalidSourceError
from app.formats.ovf import read_ovf
from app.models.common import NoNul, Shape, SourcePath
from app.models.imports import ImportProperties
from app.models.vm import SourceDisk, VmConfig
from app.sources.base import Reached, Site, SourceReading
from app.sources.given import given_as_domain
from app.sources.images import check_number
from app.sources.ova_files import OvaFiles, files_of
from app.sources.ova_manifest import checksums_in
from app.sources.properties import excluded, for_conversion_alone
from app.v2v.command import V2vInput
from app.v2v.failures import ChecksumMismatchError

LONGEST_OVF = 4 * 2**20
LONGEST_MANIFEST = 2**20
SURE_FORMATS = frozenset({"vmdk", "qcow2"})
"""What begins with a mark that can't be another's: a damaged VMDK would pass for a raw disk."""
UNPACKED_MORE_BYTES = 64 * 2**20
UNPACKED_MORE_PART = 16
"""An image may take more than the disk in it: its tables, a part of its size, and something besides."""


class OvaSource(Shape):
    """An OVA file or an extracted folder on the proxy host; `vm_id` chooses where it holds several VMs."""

    kind: Literal["ova"]
    path: SourcePath = Field(examples=["/srv/images/web-1.ova"])
    vm_id: Annotated[str, StringConstraints(min_length=1, max_length=1024), NoNul] | None = None


class Ova:
    kind: ClassVar[str] = "ova"
    title: ClassVar[str] = "OVA"
    Spec: type[OvaSource] = OvaSource

    def abilities(self, spec: OvaSource) -> frozenset[str]:
        return frozenset({"input:libvirtxml"})

    async def read(self, spec: OvaSource, site: Site, *, without: Collection[str] = ()) -> SourceReading:
        files = await files_of(spec.path, site.agent, site.roots)
        ovf = _ovf_name(files)
        data = await files.read(ovf, limit_bytes=LONGEST_OVF)
        contents = read_ovf(data)
        config = contents.config if spec.vm_id is None else contents.config_of(spec.vm_id)
        _check_disks(config.disks)
        checksums = await _checksums(files)
        _compare(ovf, data, checksums)
        disks = [
            disk if disk.id in without else await _looked_at(files, disk, posixpath.dirname(ovf), checksums)
            for disk in config.disks
        ]
        return SourceReading(
            config=config.model_copy(update={"disks": tuple(disks)}),
            work_bytes=sum(_unpacked_bytes(disk, files) for disk in disks if disk.id not in without),
        )

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        return for_conversion_alone(properties)

    def input(
        self,
        spec: OvaSource,
        config: VmConfig,
        properties: ImportProperties,
        attempt_dir: str,
        reached: Reached | None = None,
    ) -> V2vInput:
        """Not `-i ova`, which takes one VM, all of its disks, and OVF 1; docs/decisions.md has the rest."""
        without = excluded(properties)
        images = {disk.id: _image(disk, number) for number, disk in enumerate(config.disks, start=1)}
        given = given_as_domain(
            config.model_copy(update={"disks": _given(config, images, attempt_dir)}),
            properties,
            attempt_dir,
            hypervisor="vmware",
        )
        orders = [_order(disk, images[disk.id]) for disk in config.disks if disk.id not in without]
        needed = [order for order in orders if order["image"] or order["checksum"]]
        preparation = {"path": spec.path, "disks": needed} if needed else None
        return V2vInput(given.argv, given.files, preparation=preparation, disks=given.disks)


async def vm_ids(path: str, site: Site) -> tuple[str, ...]:
    """What `vm_id` may be, for each VM of the OVA, in its order. Raises as `Ova.read`."""
    files = await files_of(path, site.agent, site.roots)
    contents = read_ovf(await files.read(_ovf_name(files), limit_bytes=LONGEST_OVF))
    return tuple(dict.fromkeys(config.id for config in contents.configs))


def _ovf_name(files: OvaFiles) -> str:
    found = sorted(name for name in files.names if name.lower().endswith(".ovf"))
    if len(found) != 1:
        told = f"{len(found)} OVF files ({', '.join(found)})" if found else "no OVF file"
        raise InvalidSourceError(f"An OVA has one OVF file; this has {told}.")
    return found[0]


def _check_disks(disks: Sequence[SourceDisk]) -> None:
    """Raises InvalidSourceError."""
    check_number(disks)
    paths = [disk.path for disk in disks if disk.path]
    if len(set(paths)) < len(paths):
        raise InvalidSourceError("Two disks of the VM are kept in one file of the OVA.")


async def _checksums(files: OvaFiles) -> dict[str, str]:
    """By the files' paths within the OVA. What is named and isn't there may be what the VM doesn't need."""
    found: dict[str, str] = {}
    for manifest in sorted(name for name in files.names if name.lower().endswith(".mf")):
        data = await files.read(manifest, limit_bytes=LONGEST_MANIFEST)
        folder = posixpath.dirname(manifest)
        found |= {
            posixpath.normpath(posixpath.join(folder, name)): it for name, it in checksums_in(data).items()
        }
    return found


def _compare(name: str, data: bytes, checksums: Mapping[str, str]) -> None:
    algorithm, _, expected = checksums.get(name, "").partition(":")
    if expected and hashlib.new(algorithm, data).hexdigest() != expected:
        raise ChecksumMismatchError(f"The {algorithm} checksum of {name!r} does not match the manifest.")


def _inside(folder: str, name: str) -> str:
    """The path within the OVA. Raises InvalidSourceError when it leads outside."""
    path = posixpath.normpath(posixpath.join(folder, name))
    if path.startswith("/") or path.split("/")[0] == "..":
        raise InvalidSourceError(f"The OVA names a file outside of it: {name!r}.")
    return path


async def _looked_at(
    files: OvaFiles, disk: SourceDisk, folder: str, checksums: Mapping[str, str]
) -> SourceDisk:
    """The disk with its true format and size, and the place where the host's agent finds it."""
    if not disk.path:
        raise DiskMissingError(f"Disk {disk.label!r} has no file in the OVA.")
    name = _inside(folder, disk.path)
    image = await files.image(name, disk.compression)
    if image.format not in SURE_FORMATS:
        raise InvalidSourceError(
            f"The OVA's disk {name!r} is of format {image.format!r}; VMDK and QCOW2 are what can be imported."
        )
    return disk.model_copy(
        update={
            "path": files.place(name),
            "format": image.format,
            "capacity_bytes": image.virtual_bytes,
            "used_bytes": disk.used_bytes or image.actual_bytes,
            "file_bytes": image.actual_bytes,
            "compression": image.compression,
            "checksum": checksums.get(name),
        }
    )


def _unpacked_bytes(disk: SourceDisk, files: OvaFiles) -> int:
    """What the disk takes in the work directory before virt-v2v starts."""
    return _most_bytes(disk) if disk.compression or files.is_compressed else 0


def _most_bytes(disk: SourceDisk) -> int:
    """What the disk may take when it is unpacked; how much that is a compressed file doesn't tell."""
    if not disk.compression:
        return disk.file_bytes or 0
    capacity = disk.capacity_bytes or 0
    return capacity + capacity // UNPACKED_MORE_PART + UNPACKED_MORE_BYTES


def _image(disk: SourceDisk, number: int) -> str | None:
    """What stands for the disk in the attempt's directory; a plain file of a folder stands for itself."""
    is_plain_file = (disk.path or "").startswith("/") and not disk.compression
    return None if is_plain_file else f"disk-{number}.qcow2"


def _given(config: VmConfig, images: Mapping[str, str | None], attempt_dir: str) -> tuple[SourceDisk, ...]:
    """The disks as virt-v2v finds them."""
    return tuple(
        disk.model_copy(update={"path": f"{attempt_dir}/{images[disk.id]}", "format": "qcow2"})
        if images[disk.id]
        else disk
        for disk in config.disks
    )


def _order(disk: SourceDisk, image: str | None) -> dict[str, Any]:
    """What the host's agent has to do for the disk (`Disk` in app/proxy/agent/ova_disks.py)."""
    return {
        "file": disk.path,
        "format": disk.format,
        "checksum": disk.checksum,
        "compression": disk.compression,
        "limit_bytes": _most_bytes(disk),
        "image": image,
    }
