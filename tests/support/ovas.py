"""OVAs for tests: an OVF as exporters write it, packed as they pack it."""

import io
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from tests.support.images import MIB, make_image

_NAMESPACES = (
    'xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" '
    'xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" '
    'xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"'
)


def ovf(
    hrefs: Sequence[str] = ("disk1.vmdk",),
    *,
    name: str = "web-1",
    size_bytes: int = 4 * MIB,
    compression: str = "identity",
) -> bytes:
    """An OVF with one VM and a disk for each name."""
    return (
        f'<?xml version="1.0"?><Envelope {_NAMESPACES}>{_disk_sections(hrefs, size_bytes, compression)}'
        f"{virtual_system(name, len(hrefs))}</Envelope>"
    ).encode()


def ovf_collection(names: Sequence[str], *, size_bytes: int = 4 * MIB) -> bytes:
    """An OVF with several VMs, each with a disk of its own, all of one size."""
    hrefs = [f"disk{number}.vmdk" for number, _ in enumerate(names, start=1)]
    systems = "".join(
        virtual_system(name, 1, first_disk=number) for number, name in enumerate(names, start=1)
    )
    return (
        f'<?xml version="1.0"?><Envelope {_NAMESPACES}>{_disk_sections(hrefs, size_bytes)}'
        f'<VirtualSystemCollection ovf:id="all"><Info>all</Info>{systems}</VirtualSystemCollection>'
        "</Envelope>"
    ).encode()


def virtual_system(name: str, disks: int, *, first_disk: int = 1) -> str:
    items = [
        _item(1, 3, "<rasd:VirtualQuantity>2</rasd:VirtualQuantity>"),
        _item(
            2,
            4,
            "<rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>"
            "<rasd:VirtualQuantity>512</rasd:VirtualQuantity>",
        ),
        _item(3, 6, "<rasd:Address>0</rasd:Address>"),
        _item(4, 10, "<rasd:Connection>VM Network</rasd:Connection>"),
    ]
    for index in range(disks):
        number = first_disk + index
        items.append(
            _item(
                10 + index,
                17,
                f"<rasd:AddressOnParent>{index}</rasd:AddressOnParent>"
                f"<rasd:HostResource>ovf:/disk/vmdisk{number}</rasd:HostResource><rasd:Parent>3</rasd:Parent>",
            )
        )
    return (
        f"<VirtualSystem ovf:id={quoteattr(name)}><Info>a VM</Info><Name>{name}</Name>"
        f"<VirtualHardwareSection><Info>hardware</Info>{''.join(items)}</VirtualHardwareSection></VirtualSystem>"
    )


def _item(number: int, resource_type: int, members: str) -> str:
    return (
        f"<Item><rasd:InstanceID>{number}</rasd:InstanceID>"
        f"<rasd:ResourceType>{resource_type}</rasd:ResourceType>{members}</Item>"
    )


def _disk_sections(hrefs: Sequence[str], size_bytes: int, compression: str = "identity") -> str:
    files = "".join(
        f'<File ovf:href={quoteattr(href)} ovf:id="file{number}" ovf:compression="{compression}"/>'
        for number, href in enumerate(hrefs, start=1)
    )
    disks = "".join(
        f'<Disk ovf:capacity="{size_bytes}" ovf:diskId="vmdisk{number}" ovf:fileRef="file{number}"/>'
        for number, _ in enumerate(hrefs, start=1)
    )
    return (
        f"<References>{files}</References><DiskSection><Info>disks</Info>{disks}</DiskSection>"
        '<NetworkSection><Info>networks</Info><Network ovf:name="VM Network"/></NetworkSection>'
    )


def vmdk(directory: Path, *, size_bytes: int = 4 * MIB) -> bytes:
    """A VMDK as vSphere and VirtualBox export them."""
    path = make_image(
        directory / "made.vmdk", "vmdk", size_bytes=size_bytes, options="subformat=streamOptimized"
    )
    data = path.read_bytes()
    path.unlink()
    return data


def filled_vmdk(directory: Path, raw: bytes) -> bytes:
    """A VMDK as exporters write it, with this on the disk."""
    plain, made = directory / "made.raw", directory / "made.vmdk"
    plain.write_bytes(raw)
    options = ["-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run(["qemu-img", "convert", *options, str(plain), str(made)], check=True)
    plain.unlink()
    data = made.read_bytes()
    made.unlink()
    return data


def pack(path: Path, files: Mapping[str, bytes], *, compressed: bool = False) -> Path:
    with tarfile.open(path, "w:gz" if compressed else "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def unpack(directory: Path, files: Mapping[str, bytes]) -> Path:
    """The same files as an extracted folder."""
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory
