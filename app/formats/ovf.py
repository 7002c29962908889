"""OVF descriptors (DSP0243 1.x and 2.x, and what products make of them): read into our words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from app.errors import InvalidSourceError
from app.formats import numbers, xml
from app.formats.ovf_features import features
from app.formats.units import ovf_unit_bytes
from app.models.vm import Firmware, SourceDisk, SourceNic, VmConfig

CPU, MEMORY, NIC, DISK = "3", "4", "10", "17"
CONTROLLERS: Final = {"5": "ide", "6": "scsi", "20": "sata"}
"""Resource types (CIM_ResourceAllocationSettingData) and the buses of controllers."""
SYSTEMS: Final = frozenset({"VirtualSystem", "Content"})
"""`Content` is what oVirt writes."""
LONGEST_LABEL: Final = 255
COMPRESSIONS: Final = frozenset({"identity", "gzip"})
ITEMS: Final = frozenset({"Item", "StorageItem", "EthernetPortItem"})


@dataclass(frozen=True)
class OvfContents:
    """The VMs of one descriptor; a disk's `path` is the file that the descriptor names for it."""

    configs: tuple[VmConfig, ...]

    @property
    def config(self) -> VmConfig:
        """The only VM. Raises InvalidSourceError when there are several."""
        if len(self.configs) == 1:
            return self.configs[0]
        raise InvalidSourceError(
            f"The OVF holds {len(self.configs)} VMs ({self._ids}); `vm_id` chooses one of them."
        )

    def config_of(self, vm_id: str) -> VmConfig:
        """The VM of that id. Raises InvalidSourceError when there is none, or more than one."""
        found = [config for config in self.configs if config.id == vm_id]
        if len(found) != 1:
            raise InvalidSourceError(f"The OVF holds {len(found)} VMs {vm_id!r}; its VMs are {self._ids}.")
        return found[0]

    @property
    def _ids(self) -> str:
        return ", ".join(repr(config.id) for config in self.configs)


def read_ovf(data: bytes) -> OvfContents:
    """Raises InvalidSourceError."""
    envelope = xml.parse(data)
    if xml.local(envelope.tag) != "Envelope":
        raise InvalidSourceError(f"This is not an OVF: its root is <{xml.local(envelope.tag)[:40]}>.")
    systems = [element for element in envelope.iter() if xml.local(element.tag) in SYSTEMS]
    if not systems:
        raise InvalidSourceError("The OVF holds no virtual system.")
    files, disks = _files(envelope), _disks_by_id(envelope)
    return OvfContents(tuple(_config(system, envelope, files, disks) for system in systems))


def _files(envelope: Element) -> dict[str, Element]:
    """The files by their ids."""
    references = xml.child(envelope, "References")
    found = [] if references is None else list(xml.children(references, "File"))
    return {identifier: file for file in found if (identifier := xml.attribute(file, "id"))}


def _disks_by_id(envelope: Element) -> dict[str, Element]:
    found = [element for element in envelope.iter() if xml.local(element.tag) == "Disk"]
    return {identifier: disk for disk in found if (identifier := xml.attribute(disk, "diskId"))}


def _config(
    system: Element, envelope: Element, files: dict[str, Element], disks: dict[str, Element]
) -> VmConfig:
    items = [element for element in system.iter() if _is_item(element)]
    name = xml.text(system, "Name") or xml.attribute(system, "id")
    if name is None:
        raise InvalidSourceError("A virtual system has neither a name nor an id.")
    return VmConfig(
        id=xml.attribute(system, "id") or name,
        name=name,
        cpu_count=_cpu_count(items),
        memory_bytes=_memory_bytes(items),
        firmware=_firmware(system),
        os=_os(system),
        description=xml.text(xml.section(system, "AnnotationSection"), "Annotation"),
        disks=tuple(_disks(items, files, disks)),
        nics=tuple(_nics(items)),
        **features(system, envelope, items),
    )


def _is_item(element: Element) -> bool:
    """Whether it describes hardware, and not how little or how much of it would do (`bound`)."""
    return xml.local(element.tag) in ITEMS and xml.attribute(element, "bound") not in {"min", "max"}


def _of_type(items: list[Element], kind: str) -> list[Element]:
    return [item for item in items if xml.text(item, "ResourceType") == kind]


def _cpu_count(items: list[Element]) -> int | None:
    """The first item's: the others belong to configurations that virt-v2v doesn't choose either."""
    counts = [numbers.cpu_count(xml.text(item, "VirtualQuantity")) for item in _of_type(items, CPU)]
    return next(iter(counts), None)


def _memory_bytes(items: list[Element]) -> int | None:
    for item in _of_type(items, MEMORY):
        unit = ovf_unit_bytes(xml.text(item, "AllocationUnits") or "MegaBytes")
        return numbers.size_bytes(xml.text(item, "VirtualQuantity"), unit, "The memory") or None
    return None


def _firmware(system: Element) -> Firmware | None:
    """None where it isn't told: virt-v2v then looks at the disks."""
    for element in system.iter():
        if xml.local(element.tag) == "Config" and xml.attribute(element, "key") == "firmware":
            return Firmware.UEFI if xml.attribute(element, "value") == "efi" else Firmware.BIOS
    return None


def _os(system: Element) -> str | None:
    section = xml.section(system, "OperatingSystemSection")
    return xml.text(section, "Description") or xml.attribute(section, "osType")


def _disks(
    items: list[Element], files: dict[str, Element], disks: dict[str, Element]
) -> Iterator[SourceDisk]:
    """In the order in which virt-v2v reads them: the document's."""
    buses = {
        xml.text(item, "InstanceID") or xml.text(item, "InstanceId"): _bus(item, bus)
        for kind, bus in CONTROLLERS.items()
        for item in _of_type(items, kind)
    }
    seen: set[str] = set()
    for number, item in enumerate(_of_type(items, DISK), start=1):
        disk = _disk(item, _described(item, number, disks), files, buses)
        if disk.id in seen:
            raise InvalidSourceError(f"Two disks of the VM refer to {disk.id[:LONGEST_LABEL]!r}.")
        seen.add(disk.id)
        yield disk


def _bus(controller: Element, usual: str) -> str:
    """VMware's NVMe controllers bear the type of SATA ones."""
    return "nvme" if "nvme" in (xml.text(controller, "ResourceSubType") or "").lower() else usual


def _described(item: Element, number: int, disks: dict[str, Element]) -> Element:
    """The description that the drive refers to: `ovf:/disk/ID`. Raises InvalidSourceError."""
    resource = xml.text(item, "HostResource") or ""
    found = disks.get(resource.rpartition("/")[2])
    if found is None:
        raise InvalidSourceError(
            f"Disk {number} refers to {resource[:LONGEST_LABEL]!r}, which the OVF doesn't describe."
        )
    return found


def _disk(
    item: Element, described: Element, files: dict[str, Element], buses: dict[str | None, str]
) -> SourceDisk:
    identifier = xml.attribute(described, "diskId") or ""
    label = xml.text(item, "ElementName") or xml.text(item, "Caption") or identifier
    file = files.get(xml.attribute(described, "fileRef") or "")
    return SourceDisk(
        id=identifier,
        label=label[:LONGEST_LABEL],
        capacity_bytes=_capacity_bytes(described),
        used_bytes=numbers.size_bytes(_given(described, "populatedSize"), 1, "The populated size"),
        bus=buses.get(xml.text(item, "Parent")),
        path=xml.attribute(file, "href") or None,
        compression=_compression(file),
    )


def _compression(file: Element | None) -> str | None:
    """Raises InvalidSourceError for one that virt-v2v, too, can't unpack."""
    name = xml.attribute(file, "compression") or "identity"
    if name not in COMPRESSIONS:
        raise InvalidSourceError(f"A file of the OVF is compressed in an unknown way, {name[:40]!r}.")
    return None if name == "identity" else name


def _capacity_bytes(disk: Element) -> int | None:
    unit = ovf_unit_bytes(xml.attribute(disk, "capacityAllocationUnits") or "byte")
    return numbers.size_bytes(_given(disk, "capacity"), unit, "The capacity")


def _given(disk: Element, name: str) -> str | None:
    """The value, unless it is a property (`${size}`) that only a deployment would fill in."""
    value = xml.attribute(disk, name)
    return None if value is None or value.startswith("${") else value


def _nics(items: list[Element]) -> Iterator[SourceNic]:
    for number, item in enumerate(_of_type(items, NIC), start=1):
        yield SourceNic(
            id=f"nic-{number}",
            mac=xml.text(item, "Address"),
            network=xml.text(item, "Connection"),
            model=xml.text(item, "ResourceSubType"),
        )
