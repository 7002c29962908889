"""A VM in an OVA: a tar, a compressed tar, or the folder that one was extracted to."""

import posixpath
from collections.abc import Collection, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from app.errors import InvalidSourceError
from app.formats import xml
from app.formats.ovf import read_ovf
from app.models.common import HostPath, NoNul, Shape
from app.models.imports import ImportProperties
from app.models.vm import SourceDisk, VmConfig
from app.proxy.agent_client import HostAgent
from app.sources.base import SourceReading
from app.sources.images import check_number
from app.sources.ova_files import OvaFiles, files_of
from app.sources.ova_manifest import names_in
from app.sources.properties import left_out, not_offered
from app.v2v.command import V2vInput

LONGEST_OVF = 4 * 2**20
LONGEST_MANIFEST = 2**20
SURE_FORMATS = frozenset({"vmdk", "qcow2"})
"""virt-v2v lets qemu guess a disk's format: only these begin with a mark that can't be another's."""


class OvaSource(Shape):
    """An OVA file or an extracted folder on the proxy host; `vm_id` chooses where it holds several VMs."""

    kind: Literal["ova"]
    path: HostPath = Field(examples=["/srv/images/web-1.ova"])
    vm_id: Annotated[str, StringConstraints(min_length=1, max_length=1024), NoNul] | None = None


class Ova:
    kind: ClassVar[str] = "ova"
    title: ClassVar[str] = "OVA"
    Spec: type[OvaSource] = OvaSource

    def abilities(self, spec: OvaSource) -> frozenset[str]:
        return frozenset({"input:ova"})

    async def read(
        self, spec: OvaSource, agent: HostAgent, roots: Sequence[str], *, without: Collection[str] = ()
    ) -> SourceReading:
        files = await files_of(spec.path, agent, roots)
        ovf = _ovf_name(files)
        config = _vm(await files.read(ovf, limit_bytes=LONGEST_OVF), spec.vm_id)
        check_number(config.disks)
        await _check_manifests(files)
        folder = posixpath.dirname(ovf)
        disks = tuple([await _looked_at(files, disk, folder) for disk in config.disks])
        unpacked = sum(disk.capacity_bytes or 0 for disk in disks if (disk.path or "").endswith(".gz"))
        return SourceReading(
            config=config.model_copy(update={"disks": disks}), work_bytes=files.work_bytes + unpacked
        )

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        return not_offered(properties) + left_out(properties, "virt-v2v imports all disks of an OVA.")

    def input(
        self, spec: OvaSource, config: VmConfig, properties: ImportProperties, attempt_dir: str
    ) -> V2vInput:
        return V2vInput(argv=("-i", "ova", spec.path))


def _ovf_name(files: OvaFiles) -> str:
    found = sorted(name for name in files.names if name.lower().endswith(".ovf"))
    if len(found) != 1:
        told = f"{len(found)} OVF files ({', '.join(found)})" if found else "no OVF file"
        raise InvalidSourceError(f"An OVA has one OVF file; this has {told}.")
    if not found[0].endswith(".ovf"):
        raise InvalidSourceError(f"virt-v2v finds only a name that ends in `.ovf`; rename {found[0]!r}.")
    return found[0]


def _vm(data: bytes, vm_id: str | None) -> VmConfig:
    """The OVF's only VM. Raises InvalidSourceError when it isn't the one that was asked for."""
    contents = read_ovf(data)
    known = ", ".join(repr(config.id) for config in contents.configs)
    if vm_id is not None and vm_id not in {config.id for config in contents.configs}:
        raise InvalidSourceError(f"The OVA holds no VM {vm_id!r}; it holds {known}.")
    if xml.child(xml.parse(data), "VirtualSystem") is None:
        raise InvalidSourceError(
            f"The OVF keeps its VMs ({known}) where virt-v2v finds none: it takes one that stands by itself."
        )
    return contents.config


async def _check_manifests(files: OvaFiles) -> None:
    """Raises InvalidSourceError for a named file that isn't there; virt-v2v compares the checksums."""
    for manifest in sorted(name for name in files.names if name.endswith(".mf")):
        folder = posixpath.dirname(manifest)
        for name in names_in(await files.read(manifest, limit_bytes=LONGEST_MANIFEST)):
            if files.lacks(_inside(folder, name)):
                raise InvalidSourceError(f"The OVA lacks {name!r}, which its manifest names.")


def _inside(folder: str, name: str) -> str:
    """The path within the OVA. Raises InvalidSourceError when it leads outside."""
    path = posixpath.normpath(posixpath.join(folder, name))
    if path.startswith("/") or path.split("/")[0] == "..":
        raise InvalidSourceError(f"The OVA names a file outside of it: {name!r}.")
    return path


async def _looked_at(files: OvaFiles, disk: SourceDisk, folder: str) -> SourceDisk:
    if not disk.path:
        raise InvalidSourceError(f"Disk {disk.label!r} has no file in the OVA.")
    name = _inside(folder, disk.path)
    image = await files.image(name)
    if image.format not in SURE_FORMATS:
        raise InvalidSourceError(
            f"The OVA's disk {name!r} is of format {image.format!r}; VMDK and QCOW2 are what can be imported."
        )
    return disk.model_copy(
        update={
            "path": name,
            "format": image.format,
            "capacity_bytes": image.virtual_bytes,
            "used_bytes": disk.used_bytes or image.actual_bytes,
        }
    )
