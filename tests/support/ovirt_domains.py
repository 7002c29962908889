"""oVirt storage domains as engines and vdsm leave them, their volumes made by the real qemu-img."""

import io
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4
from xml.sax.saxutils import escape, quoteattr

from tests.support.images import MIB

DOMAIN_ID = "7c1d4b52-1f4e-4c39-a1a7-6a1f6f0b3a55"
NO_PARENT = UUID(int=0)
CODES = {"raw": "RAW", "qcow2": "COW"}
DATA = Path(__file__).resolve().parent.parent / "data"


@dataclass(frozen=True)
class Volume:
    """A volume, and the name by which its header refers to the one below."""

    path: Path
    image_id: UUID
    format: str

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def ref(self) -> str:
        return f"{self.image_id}/{self.id}"

    @property
    def meta(self) -> Path:
        return self.path.with_name(f"{self.id}.meta")


@dataclass
class Domain:
    """A domain's directory."""

    path: Path
    volumes: list[Volume] = field(default_factory=list)

    def add_volume(
        self,
        format_name: str,
        *,
        below: Volume | None = None,
        image_id: UUID | None = None,
        backing: str | None = None,
        size_bytes: int = 4 * MIB,
        is_empty: bool = False,
        **meta: object,
    ) -> Volume:
        """A volume with a MiB of its own on it; `backing` is what its header says instead of the truth."""
        image_id = image_id or (below.image_id if below else uuid4())
        directory = self.path / "images" / str(image_id)
        directory.mkdir(exist_ok=True)
        path = directory / str(uuid4())
        argv = ["qemu-img", "create", "-q", "-f", format_name]
        if below is not None:
            beside = below.id if below.image_id == image_id else f"../{below.ref}"
            argv += ["-u", "-F", below.format, "-b", backing or beside]
        subprocess.run([*argv, str(path), str(size_bytes)], check=True)
        offset = (len(self.volumes) % 3) * MIB
        write = f"write -q -P {len(self.volumes) + 1} {offset} 1M"
        if not is_empty:
            subprocess.run(_pinned(path, format_name, write), check=True)
        volume = Volume(path, image_id, format_name)
        volume.meta.write_text(meta_text(volume, UUID(below.id) if below else NO_PARENT, size_bytes, **meta))
        self.volumes.append(volume)
        return volume

    def add_vm(self, vm_id: UUID, ovf: str) -> None:
        """As an export does it."""
        directory = self.path / "master" / "vms" / str(vm_id)
        directory.mkdir(parents=True)
        (directory / f"{vm_id}.ovf").write_text(ovf)

    def add_ovf_store(self, ovfs: Mapping[UUID, str], *, padding: int = 64 * 2**10) -> Volume:
        """As an engine keeps the descriptions on a data domain: a tar in a preallocated raw volume."""
        description = '{"Updated":true,"Disk Description":"OVF_STORE","Storage Domains":[{"uuid":"x"}]}'
        volume = self.add_volume("raw", DESCRIPTION=description, DISKTYPE="OVFS")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            texts = {"info.json": "{}", **{f"{vm_id}.ovf": text for vm_id, text in ovfs.items()}}
            for name, text in texts.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                tar.addfile(member, io.BytesIO(text.encode()))
        volume.path.write_bytes(packed.getvalue() + bytes(padding))
        return volume


def _pinned(path: Path, format_name: str, command: str) -> list[str]:
    """Writes without opening what lies below, which may not be there."""
    options = f"driver={format_name},file.filename={path}" + (",backing=" if format_name == "qcow2" else "")
    return ["qemu-io", "--image-opts", "-c", command, options]


def make_domain(parent: Path, kind: str = "Backup", **facts: str) -> Domain:
    path = parent / DOMAIN_ID
    (path / "dom_md").mkdir(parents=True)
    (path / "images").mkdir()
    told = {"CLASS": kind, "ROLE": "Regular", "SDUUID": DOMAIN_ID, "POOL_UUID": "", "VERSION": "0", **facts}
    (path / "dom_md" / "metadata").write_text("".join(f"{key}={value}\n" for key, value in told.items()))
    return Domain(path)


def meta_text(volume: Volume, parent_id: UUID, size_bytes: int, **facts: object) -> str:
    told = {
        "DOMAIN": DOMAIN_ID,
        "VOLTYPE": "LEAF",
        "CTIME": 1700000000,
        "FORMAT": CODES[volume.format],
        "IMAGE": volume.image_id,
        "DISKTYPE": 2,
        "PUUID": parent_id,
        "LEGALITY": "LEGAL",
        "MTIME": 0,
        "POOL_UUID": "",
        "DESCRIPTION": "",
        "TYPE": "SPARSE",
        "SIZE": size_bytes // 512,
        **facts,
    }
    return "".join(f"{key}={value}\n" for key, value in told.items()) + "EOF\n"


def engine_ovf(
    vm_id: UUID,
    volumes: Sequence[Volume],
    *,
    name: str = "web-1",
    version: str = "4.5.4",
    interfaces: Sequence[str] = ("VirtIO",) * 8,
    general: str = "",
    items: str = "",
    sections: str = "",
    snapshots: Mapping[str, str] | None = None,
) -> str:
    """What an engine of that version writes. `snapshots`: kinds, by the ids of their volumes."""
    kinds = snapshots or {}
    files = "".join(
        f'<File ovf:href="{volume.ref}" ovf:id="{volume.id}" ovf:size="1048576" ovf:description="Active VM" '
        'ovf:disk_storage_type="IMAGE" ovf:cinder_volume_type=""/>'
        for volume in volumes
    )
    disks = "".join(
        _disk(volume, interface, name) for volume, interface in zip(volumes, interfaces, strict=False)
    )
    taken = "".join(
        f'<Snapshot ovf:id="{volume_id}"><Type>{kind}</Type><Description>x</Description></Snapshot>'
        for volume_id, kind in kinds.items()
    )
    if taken:
        sections += f'<Section xsi:type="ovf:SnapshotsSection_Type">{taken}</Section>'
    text = (DATA / "ovirt-4.5.ovf").read_text()
    for token, value in (
        ("@VERSION@", version),
        ("@FILES@", files),
        ("@DISKS@", disks),
        ("@NAME@", escape(name)),
        ("@VM@", str(vm_id)),
        ("<!--general-->", general),
        ("<!--items-->", items),
        ("<!--sections-->", sections),
    ):
        text = text.replace(token, value)
    return text


def _disk(volume: Volume, interface: str, name: str) -> str:
    told = {
        "diskId": volume.id,
        "size": "0",
        "actual_size": "0",
        "vm_snapshot_id": volume.id,
        "parentRef": "",
        "fileRef": volume.ref,
        "format": "http://www.gnome.org/~markmc/qcow-image-format.html",
        "volume-format": CODES[volume.format],
        "volume-type": "Sparse",
        "disk-interface": interface,
        "read-only": "false",
        "shareable": "false",
        "boot": "true",
        "disk-alias": f"{name}_Disk",
        "wipe-after-delete": "false",
    }
    return f"<Disk {' '.join(f'ovf:{key}={quoteattr(value)}' for key, value in told.items())}/>"
