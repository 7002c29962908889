"""Writes what oVirt believes of a VM on a data domain: its OVF, and the metadata of its volumes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID
from xml.etree.ElementTree import Element, SubElement, tostring

from app.formats.ovirt_ovf import BIOS_TYPE, BIOS_TYPES, BUSES, I440FX_TYPE, MIB, NIC_MODELS, PREFIXES, RASD
from app.formats.xml_text import expressible
from app.models.vm import SourceNic, VmConfig

OVF: Final = PREFIXES["ovf"]
XSI: Final = PREFIXES["xsi"]
NONE_ID: Final = UUID(int=0)
NOTE: Final = "imported without conversion"
CPU_COUNT: Final = 1
MEMORY_BYTES: Final = 2 * 2**30
USUAL_BUS, USUAL_NIC, UNKNOWN_OS = "virtio", "virtio", "other"
SECTOR_BYTES: Final = 512
GIB: Final = 2**30
_OS_NAME: Final = re.compile("[a-z][a-z0-9_]{1,60}")
_BUS_NAMES: Final = {bus: name for name, bus in BUSES.items()}
_NIC_NUMBERS: Final = {model: number for number, model in NIC_MODELS.items()}


@dataclass(frozen=True)
class Volume:
    """A disk of the VM as oVirt names it."""

    image_id: UUID
    volume_id: UUID
    capacity_bytes: int
    is_qcow2: bool
    is_preallocated: bool
    bus: str | None


def write_volume_meta(volume: Volume, *, domain_id: str, at: datetime) -> str:
    """The `.meta` file beside the volume."""
    seconds = int(at.timestamp())
    facts = {
        "DOMAIN": domain_id,
        "VOLTYPE": "LEAF",
        "CTIME": seconds,
        "MTIME": seconds,
        "IMAGE": volume.image_id,
        "DISKTYPE": 1,
        "PUUID": NONE_ID,
        "LEGALITY": "LEGAL",
        "POOL_UUID": "",
        "SIZE": -(-volume.capacity_bytes // SECTOR_BYTES),
        "FORMAT": "COW" if volume.is_qcow2 else "RAW",
        "TYPE": "PREALLOCATED" if volume.is_preallocated else "SPARSE",
        "DESCRIPTION": NOTE,
    }
    return "".join(f"{key}={value}\n" for key, value in facts.items()) + "EOF\n"


def write_ovirt_ovf(
    config: VmConfig, volumes: Sequence[Volume], *, vm_id: UUID, domain_id: str, at: datetime
) -> bytes:
    envelope = Element(f"{{{OVF}}}Envelope", {f"{{{OVF}}}version": "0.9"})
    references = SubElement(envelope, "References")
    networks = _section(envelope, "NetworkSection", "List of networks")
    disks = _section(envelope, "DiskSection", "List of Virtual Disks")
    for network in dict.fromkeys(nic.network for nic in config.nics if nic.network):
        _add(networks, "Network", {"name": expressible(network)})
    for number, volume in enumerate(volumes):
        href = {"href": _href(volume), "id": str(volume.volume_id), "description": NOTE}
        _add(references, "File", href)
        _add(disks, "Disk", _disk(volume, is_first=not number))
    _add_content(envelope, config, volumes, vm_id=vm_id, domain_id=domain_id, at=at)
    return bytes(tostring(envelope, encoding="utf-8", xml_declaration=True))


def _add(parent: Element, tag: str, attributes: Mapping[str, str]) -> Element:
    """An element with attributes in OVF's namespace."""
    return SubElement(parent, tag, {f"{{{OVF}}}{name}": value for name, value in attributes.items()})


def _section(parent: Element, kind: str, info: str, **attributes: str) -> Element:
    section = _add(parent, "Section", attributes)
    section.set(f"{{{XSI}}}type", f"ovf:{kind}_Type")
    SubElement(section, "Info").text = info
    return section


def _href(volume: Volume) -> str:
    return f"{volume.image_id}/{volume.volume_id}"


def _disk(volume: Volume, *, is_first: bool) -> dict[str, str]:
    return {
        "diskId": str(volume.volume_id),
        # In GiB, rounded up; oVirt takes the capacity from the other one.
        "size": str(-(-volume.capacity_bytes // GIB)),
        "capacity": str(volume.capacity_bytes),
        "fileRef": _href(volume),
        "parentRef": "",
        "volume-format": "COW" if volume.is_qcow2 else "RAW",
        "volume-type": "Preallocated" if volume.is_preallocated else "Sparse",
        "format": "http://en.wikipedia.org/wiki/Byte",
        "disk-interface": _BUS_NAMES.get(volume.bus or USUAL_BUS, _BUS_NAMES[USUAL_BUS]),
        "disk-type": "System",
        "boot": str(is_first),
    }


def _add_content(
    envelope: Element,
    config: VmConfig,
    volumes: Sequence[Volume],
    *,
    vm_id: UUID,
    domain_id: str,
    at: datetime,
) -> None:
    content = _add(envelope, "Content", {"id": "out"})
    content.set(f"{{{XSI}}}type", "ovf:VirtualSystem_Type")
    properties = {
        "Name": expressible(config.name),
        "TemplateId": str(NONE_ID),
        "TemplateName": "Blank",
        "Description": expressible(config.description or ""),
        "CreationDate": f"{at:%Y/%m/%d %H:%M:%S}",
        "IsInitilized": "True",
        "VmType": "1",
        "DefaultDisplayType": "2",
        "BiosType": _bios_type(config, volumes),
        "Origin": "3",
    }
    for tag, text in properties.items():
        SubElement(content, tag).text = text
    system = _section(content, "OperatingSystemSection", "Operating system", id=str(vm_id), required="false")
    SubElement(system, "Description").text = _os(config.os)
    hardware = _section(content, "VirtualHardwareSection", "CPUs, memory, disks and NICs")
    for number, facts in enumerate((_cpu(config), _memory(config)), start=1):
        _add_item(hardware, {"InstanceId": str(number), **facts})
    for number, volume in enumerate(volumes, start=1):
        item = _add_item(hardware, _drive(volume, number, domain_id))
        SubElement(item, "Type").text = "disk"
    for number, nic in enumerate(config.nics):
        item = _add_item(hardware, _nic(nic, number))
        SubElement(item, "Type").text = "interface"


def _bios_type(config: VmConfig, volumes: Sequence[Volume]) -> str:
    # Q35 has no IDE.
    has_ide = any(volume.bus == "ide" for volume in volumes)
    found = BIOS_TYPES[config.firmware, bool(config.secure_boot)]
    return I440FX_TYPE if has_ide and found == BIOS_TYPE else found


def _os(name: str | None) -> str:
    """The name, if it is one of oVirt's own (`rhel_8x64`): others' mean nothing to it."""
    return name if name and _OS_NAME.fullmatch(name) else UNKNOWN_OS


def _add_item(hardware: Element, facts: Mapping[str, str]) -> Element:
    item = SubElement(hardware, "Item")
    for tag, text in facts.items():
        SubElement(item, f"{{{RASD}}}{tag}").text = text
    return item


def _cpu(config: VmConfig) -> dict[str, str]:
    count = str(config.cpu_count or CPU_COUNT)
    shape = {"num_of_sockets": "1", "cpu_per_socket": count, "threads_per_cpu": "1"}
    return {"Caption": f"{count} virtual cpu", "ResourceType": "3", **shape}


def _memory(config: VmConfig) -> dict[str, str]:
    size = str(-(-(config.memory_bytes or MEMORY_BYTES) // MIB))
    units = {"AllocationUnits": "MegaBytes", "VirtualQuantity": size}
    return {"Caption": f"{size} MB of memory", "ResourceType": "4", **units}


def _drive(volume: Volume, number: int, domain_id: str) -> dict[str, str]:
    return {
        "Caption": f"Drive {number}",
        "InstanceId": str(volume.volume_id),
        "ResourceType": "17",
        "HostResource": _href(volume),
        "Parent": str(NONE_ID),
        "Template": str(NONE_ID),
        "StorageId": domain_id,
        "StoragePoolId": str(NONE_ID),
    }


def _nic(nic: SourceNic, number: int) -> dict[str, str]:
    facts = {
        "Caption": f"Ethernet adapter on {expressible(nic.network or 'no network')}",
        "ResourceType": "10",
        "ResourceSubType": _NIC_NUMBERS.get(nic.model or USUAL_NIC, _NIC_NUMBERS[USUAL_NIC]),
        "Name": f"eth{number}",
    }
    given = {"Connection": nic.network, "MACAddress": nic.mac}
    return {**facts, **{tag: expressible(text) for tag, text in given.items() if text}}
