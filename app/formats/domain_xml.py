"""libvirt's domain XML ("Domain XML format"): read into our words, and given another identity."""

from collections.abc import Callable, Sequence
from itertools import chain, count
from typing import Final
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from app.errors import InvalidSourceError
from app.formats import numbers, xml
from app.formats.domain_features import features
from app.formats.units import libvirt_unit_bytes
from app.models.vm import DiskFault, DiskMode, Firmware, SourceDisk, SourceNic, VmConfig

KIB: Final = 1024
DISKS: Final = frozenset({"disk", "lun"})
"""The devices that are disks; a `lun` is one that the guest may send SCSI commands to."""
NETWORK_TYPES: Final = frozenset({"network", "vhostuser", "vhostvdpa"})
"""Sources of disks that are neither files nor block devices of the host."""
XEN_FORMATS: Final = {"aio": "raw", "vhd": "vpc"}
"""What Xen's tapdisk calls formats, in QEMU's words."""
PASSTHROUGH: Final = "passthrough"
LONGEST_NAME: Final = 255
PREFIXES: Final = {
    "libosinfo": "http://libosinfo.org/xmlns/libvirt/domain/1.0",
    "qemu": "http://libvirt.org/schemas/domain/qemu/1.0",
}
for _prefix, _uri in PREFIXES.items():
    register_namespace(_prefix, _uri)


Volumes = Callable[[str, str], str | None]
"""Pool and volume to the volume's path, None where it isn't there."""


def read_domain_xml(data: bytes, volumes: Volumes | None = None) -> VmConfig:
    """The VM; a disk's `path` is its file or block device, None for any other kind of source.

    A path is as the domain says it, so that it may be relative. CD-ROM and floppy drives are left out. Disks
    in storage pools have a path only where there is somebody to ask for their `volumes`.
    Raises InvalidSourceError.
    """
    domain = _domain(data)
    name = xml.text(domain, "name")
    if name is None:
        raise InvalidSourceError("The domain has no name.")
    return VmConfig(
        id=xml.text(domain, "uuid") or name,
        name=name,
        cpu_count=numbers.cpu_count(xml.text(domain, "vcpu")),
        memory_bytes=_memory_bytes(domain),
        firmware=_firmware(domain),
        os=_os(domain),
        description=xml.text(domain, "description"),
        disks=_disks(domain, volumes),
        nics=_nics(domain),
        **features(domain),
    )


def _domain(data: bytes) -> Element:
    root = xml.parse(data)
    if xml.local(root.tag) != "domain":
        raise InvalidSourceError(f"This is not a libvirt domain: its root is <{xml.local(root.tag)[:40]}>.")
    return root


def _memory_bytes(domain: Element) -> int | None:
    memory = xml.child(domain, "memory")
    unit = libvirt_unit_bytes(xml.attribute(memory, "unit"), default="KiB")
    return numbers.size_bytes(xml.text(memory), unit, "The memory") or None


def _firmware(domain: Element) -> Firmware:
    system = xml.child(domain, "os")
    loader = xml.child(system, "loader")
    is_efi = xml.attribute(system, "firmware") == "efi" or xml.attribute(loader, "type") == "pflash"
    return Firmware.UEFI if is_efi else Firmware.BIOS


def _os(domain: Element) -> str | None:
    """The libosinfo id (`http://debian.org/debian/12`), where the metadata tells it."""
    return xml.attribute(xml.child(domain, "metadata", "libosinfo", "os"), "id")


def _disks(domain: Element, volumes: Volumes | None) -> tuple[SourceDisk, ...]:
    devices = xml.child(domain, "devices")
    elements = [] if devices is None else list(xml.children(devices, "disk"))
    found = [element for element in elements if (xml.attribute(element, "device") or "disk") in DISKS]
    disks: dict[str, SourceDisk] = {}
    for number, element in enumerate(found, start=1):
        names = chain([_disk_name(element)], (f"disk-{other}" for other in count(number)))
        identifier = next(name for name in names if name and name not in disks)
        disks[identifier] = _disk(element, identifier, volumes)
    return tuple(disks.values())


def _disk_name(element: Element) -> str:
    """What the domain calls the disk, unless that is too long for a name."""
    name = xml.attribute(xml.child(element, "target"), "dev") or ""
    return name if len(name) <= LONGEST_NAME else ""


def _disk(element: Element, identifier: str, volumes: Volumes | None) -> SourceDisk:
    path, fault = _place(element, volumes)
    return SourceDisk(
        id=identifier,
        label=identifier,
        capacity_bytes=None,
        format=_format(element),
        bus=xml.attribute(xml.child(element, "target"), "bus"),
        path=path,
        mode=DiskMode.INDEPENDENT_NONPERSISTENT if _has(element, "transient") else None,
        is_shared=_has(element, "shareable") or None,
        is_raw_device=xml.attribute(element, "device") == "lun" or None,
        fault=fault,
    )


def _format(disk: Element) -> str | None:
    name = xml.attribute(xml.child(disk, "driver"), "type")
    return XEN_FORMATS.get(name, name) if name is not None else None


def _place(disk: Element, volumes: Volumes | None) -> tuple[str | None, DiskFault | None]:
    """Where the disk is on its host, and why it isn't to be imported."""
    if xml.attribute(disk, "type") in NETWORK_TYPES:
        return None, DiskFault.NETWORK
    source = xml.child(disk, "source")
    path = xml.attribute(source, "file") or xml.attribute(source, "dev")
    pool, volume = xml.attribute(source, "pool"), xml.attribute(source, "volume")
    if pool and volume and volumes is not None:
        path = volumes(pool, volume)
        if path is None:
            return None, DiskFault.VOLUME_MISSING
        if not path.startswith("/"):
            # Those of pools of Ceph and the like have names, and no files.
            return None, DiskFault.NETWORK
    is_encrypted = _has(disk, "encryption") or _has(source, "encryption")
    return path, DiskFault.ENCRYPTED if is_encrypted else None


def _has(element: Element | None, name: str) -> bool:
    return xml.child(element, name) is not None


def _nics(domain: Element) -> tuple[SourceNic, ...]:
    return tuple(_nic(element, number) for number, element in enumerate(_interfaces(domain), start=1))


def _interfaces(domain: Element) -> list[Element]:
    devices = xml.child(domain, "devices")
    return [] if devices is None else list(xml.children(devices, "interface"))


def _nic(element: Element, number: int) -> SourceNic:
    source, kind = xml.child(element, "source"), xml.attribute(element, "type")
    return SourceNic(
        id=f"nic-{number}",
        mac=xml.attribute(xml.child(element, "mac"), "address"),
        network=xml.attribute(source, "network")
        or xml.attribute(source, "bridge")
        or (xml.attribute(source, "dev") if kind == "direct" else None),
        model=PASSTHROUGH if kind == "hostdev" else xml.attribute(xml.child(element, "model"), "type"),
    )


def with_identity(
    data: bytes,
    *,
    name: str,
    cpu_count: int | None,
    memory_bytes: int | None,
    description: str | None,
    nics: Sequence[SourceNic],
) -> bytes:
    """The domain with these values; None leaves what it says, and so does a NIC's.

    Raises InvalidSourceError.
    """
    domain = _domain(data)
    _set_text(domain, "name", name)
    if description is not None:
        _set_text(domain, "description", description)
    if cpu_count is not None:
        _set_cpu_count(domain, cpu_count)
    if memory_bytes is not None:
        for tag in ("memory", "currentMemory"):
            _set_text(domain, tag, str(-(-memory_bytes // KIB))).set("unit", "KiB")
    for element, nic in zip(_interfaces(domain), nics, strict=False):
        _set_nic(element, nic)
    return bytes(tostring(domain, encoding="utf-8", xml_declaration=True))


def _set_text(parent: Element, tag: str, value: str) -> Element:
    found = xml.child(parent, tag)
    if found is None:
        found = SubElement(parent, tag)
    found.text = value
    return found


def _set_cpu_count(domain: Element, cpu_count: int) -> None:
    if xml.text(domain, "vcpu") == str(cpu_count):
        return
    # `current` could be more than there are now.
    _set_text(domain, "vcpu", str(cpu_count)).attrib.pop("current", None)
    cpu = xml.child(domain, "cpu")
    topology = xml.child(cpu, "topology")
    if cpu is not None and topology is not None:
        # libvirt refuses a topology whose product is another number.
        cpu.remove(topology)


def _set_nic(interface: Element, nic: SourceNic) -> None:
    if nic.mac is not None:
        _child(interface, "mac").set("address", nic.mac)
    source = xml.child(interface, "source")
    present = xml.attribute(source, "network") or xml.attribute(source, "bridge")
    if nic.network is not None and nic.network != present:
        interface.set("type", "network")
        source = _child(interface, "source")
        source.attrib.clear()
        source.set("network", nic.network)


def _child(parent: Element, tag: str) -> Element:
    found = xml.child(parent, tag)
    return SubElement(parent, tag) if found is None else found
