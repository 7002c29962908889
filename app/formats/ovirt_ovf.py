"""The OVF of oVirt, as engines and virt-v2v write it: read into our words, and given another identity."""

from collections.abc import Mapping, Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from app.errors import InvalidSourceError
from app.formats import numbers, xml
from app.formats.ovirt_features import features
from app.models.vm import DiskFault, Firmware, SourceDisk, SourceNic, VmConfig

MIB, GIB = 2**20, 2**30
ACTIVE: Final = "ACTIVE"
IMAGE, LUN = "IMAGE", "LUN"
LONGEST_LABEL: Final = 255
RASD: Final = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
PREFIXES: Final = {
    "ovf": "http://schemas.dmtf.org/ovf/envelope/1/",
    "rasd": RASD,
    "vssd": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
TOPOLOGY: Final = ("num_of_sockets", "cpu_per_socket", "threads_per_cpu")
CPU, MEMORY, NIC = "3", "4", "10"
I440FX_TYPE, BIOS_TYPE, UEFI_TYPE, SECURE_TYPE = "0", "1", "2", "3"
"""BiosType in an OVF (one less than oVirt's own number): all but the first are Q35."""
BIOS_TYPES: Final = {
    (Firmware.BIOS, False): BIOS_TYPE,
    (Firmware.BIOS, True): BIOS_TYPE,
    (Firmware.UEFI, False): UEFI_TYPE,
    (Firmware.UEFI, True): SECURE_TYPE,
    (None, False): BIOS_TYPE,
    (None, True): SECURE_TYPE,
}
"""By firmware and secure boot."""
NIC_MODELS: Final = {
    "0": "rtl8139_virtio",
    "1": "rtl8139",
    "2": "e1000",
    "3": "virtio",
    "4": "spapr-vlan",
    "5": "passthrough",
    "6": "e1000e",
}
BUSES: Final = {"VirtIO": "virtio", "IDE": "ide", "VirtIO_SCSI": "scsi", "SATA": "sata"}

for _prefix, _uri in PREFIXES.items():
    register_namespace(_prefix, _uri)


def read_ovirt_ovf(data: bytes) -> VmConfig:
    """The VM; a disk's `path` is `IMAGE/VOLUME`, none where it is on another storage.

    Of an image with several volumes, its snapshots, the newest is the disk. Raises InvalidSourceError.
    """
    envelope, content = _parsed(data)
    name = xml.text(content, "Name")
    if name is None:
        raise InvalidSourceError("The OVF has no name.")
    return VmConfig(
        id=_id(content) or name,
        name=name,
        cpu_count=_cpu_count(content),
        memory_bytes=_memory_bytes(content),
        firmware=_firmware(content),
        os=_os(content),
        description=xml.text(content, "Description"),
        disks=_disks(envelope, content),
        nics=_nics(content),
        secure_boot=True if xml.text(content, "BiosType") == SECURE_TYPE else None,
        **features(content, [element for element in envelope.iter() if xml.local(element.tag) == "Disk"]),
    )


def _id(content: Element) -> str | None:
    """The VM's own stands at its operating system; the content's is `out` for every VM."""
    system = xml.section(content, "OperatingSystemSection")
    return xml.attribute(system, "id") or xml.attribute(content, "id")


def _firmware(content: Element) -> Firmware:
    is_uefi = xml.text(content, "BiosType") in {UEFI_TYPE, SECURE_TYPE}
    return Firmware.UEFI if is_uefi else Firmware.BIOS


def _parsed(data: bytes) -> tuple[Element, Element]:
    """The envelope and its VM: `Content` in export domains' form, `VirtualSystem` in the API's."""
    envelope = xml.parse(data)
    contents = [element for element in envelope if xml.local(element.tag) in {"Content", "VirtualSystem"}]
    if xml.local(envelope.tag) != "Envelope" or len(contents) != 1:
        raise InvalidSourceError("This is not an OVF of oVirt: it has no Envelope with one Content.")
    return envelope, contents[0]


def _items(content: Element, kind: str) -> list[Element]:
    items = [element for element in content.iter() if xml.local(element.tag) == "Item"]
    return [item for item in items if xml.text(item, "ResourceType") == kind]


def _cpu_count(content: Element) -> int | None:
    for item in _items(content, CPU):
        sockets, cores, threads = (numbers.cpu_count(xml.text(item, name)) for name in TOPOLOGY)
        if sockets is not None:
            return numbers.cpu_count(str(sockets * (cores or 1) * (threads or 1)))
    return None


def _memory_bytes(content: Element) -> int | None:
    for item in _items(content, MEMORY):
        return numbers.size_bytes(xml.text(item, "VirtualQuantity"), MIB, "The memory") or None
    return None


def _os(content: Element) -> str | None:
    return xml.text(xml.section(content, "OperatingSystemSection"), "Description")


def _disks(envelope: Element, content: Element) -> tuple[SourceDisk, ...]:
    found = [element for element in envelope.iter() if xml.local(element.tag) == "Disk"]
    images: dict[str, list[Element]] = {}
    for element in found:
        image_id, _, volume_id = (xml.attribute(element, "fileRef") or "").partition("/")
        images.setdefault(image_id if volume_id else f"alone {len(images)}", []).append(element)
    active, storages = _active_snapshot(content), _storages(envelope)
    newest = [_newest(volumes, active) for volumes in images.values()]
    return tuple(_disk(element, number, storages) for number, element in enumerate(newest, start=1))


def _storages(envelope: Element) -> dict[str, str]:
    """What kind of storage each file is on, where that is told, by the id of its volume."""
    references = xml.child(envelope, "References")
    files = [] if references is None else xml.children(references, "File")
    return {
        xml.attribute(file, "id") or "": (xml.attribute(file, "disk_storage_type") or IMAGE).upper()
        for file in files
    }


def _active_snapshot(content: Element) -> str | None:
    section = xml.section(content, "SnapshotsSection")
    for snapshot in [] if section is None else xml.children(section, "Snapshot"):
        if xml.text(snapshot, "Type") == ACTIVE:
            return xml.attribute(snapshot, "id")
    return None


def _newest(volumes: list[Element], active: str | None) -> Element:
    """The volume of the active snapshot, or else the one that no other stands on."""
    if len(volumes) == 1:
        return volumes[0]
    for volume in volumes:
        if active is not None and xml.attribute(volume, "vm_snapshot_id") == active:
            return volume
    parents = {(xml.attribute(volume, "parentRef") or "").rpartition("/")[2] for volume in volumes}
    tops = [volume for volume in volumes if xml.attribute(volume, "diskId") not in parents]
    if len(tops) != 1:
        raise InvalidSourceError("It can't be told which volume of a disk is the newest.")
    return tops[0]


def _disk(element: Element, number: int, storages: Mapping[str, str]) -> SourceDisk:
    identifier = xml.attribute(element, "diskId") or f"disk-{number}"
    interface = xml.attribute(element, "disk-interface") or ""
    storage = storages.get(identifier, IMAGE)
    is_lun = storage == LUN or xml.attribute(element, "lun_id") is not None
    is_elsewhere = is_lun or storage != IMAGE
    return SourceDisk(
        id=identifier,
        label=(xml.attribute(element, "disk-alias") or identifier)[:LONGEST_LABEL],
        capacity_bytes=_capacity_bytes(element),
        format="qcow2" if xml.attribute(element, "volume-format") == "COW" else "raw",
        bus=BUSES.get(interface, interface.lower() or None),
        path=None if is_elsewhere else xml.attribute(element, "fileRef"),
        is_shared=True if (xml.attribute(element, "shareable") or "").lower() == "true" else None,
        is_raw_device=True if is_lun else None,
        fault=DiskFault.ELSEWHERE if is_elsewhere else None,
    )


def _capacity_bytes(disk: Element) -> int | None:
    """Engines tell whole GiB alone; virt-v2v tells the bytes, too."""
    capacity = numbers.size_bytes(xml.attribute(disk, "capacity"), 1, "The capacity")
    if capacity is not None:
        return capacity
    return numbers.size_bytes(xml.attribute(disk, "size"), GIB, "The size")


def _nics(content: Element) -> tuple[SourceNic, ...]:
    return tuple(
        SourceNic(
            id=f"nic-{number}",
            mac=xml.text(item, "MACAddress"),
            network=xml.text(item, "Connection"),
            model=_model(xml.text(item, "ResourceSubType")),
        )
        for number, item in enumerate(_items(content, NIC), start=1)
    )


def _model(number: str | None) -> str | None:
    return None if number is None else NIC_MODELS.get(number, number)


def with_identity(
    data: bytes,
    *,
    name: str,
    cpu_count: int | None,
    memory_bytes: int | None,
    description: str | None,
    nics: Sequence[SourceNic],
) -> bytes:
    """The OVF with these values; None leaves what it says, and so does a NIC's. Raises InvalidSourceError."""
    envelope, content = _parsed(data)
    _set(content, "Name", name)
    if description is not None:
        _set(content, "Description", description)
    if cpu_count is not None and cpu_count != _cpu_count(content):
        for item in _items(content, CPU):
            # One socket, as virt-v2v does it.
            _set_rasd(item, dict(zip(TOPOLOGY, ("1", str(cpu_count), "1"), strict=True)))
    if memory_bytes is not None:
        for item in _items(content, MEMORY):
            _set_rasd(item, {"VirtualQuantity": str(-(-memory_bytes // MIB))})
    for item, nic in zip(_items(content, NIC), nics, strict=False):
        values = {"Connection": nic.network, "MACAddress": nic.mac}
        _set_rasd(item, {tag: value for tag, value in values.items() if value is not None})
    return bytes(tostring(envelope, encoding="utf-8", xml_declaration=True))


def _set(parent: Element, tag: str, value: str) -> None:
    found = xml.child(parent, tag)
    if found is None:
        found = SubElement(parent, tag)
    found.text = value


def _set_rasd(item: Element, values: dict[str, str]) -> None:
    for tag, value in values.items():
        found = xml.child(item, tag)
        if found is None:
            found = SubElement(item, f"{{{RASD}}}{tag}")
        found.text = value
