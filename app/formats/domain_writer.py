"""Writes libvirt's domain XML of a VM: what we know of it, and nothing that came from outside."""

from collections.abc import Iterable, Sequence
from itertools import count
from string import ascii_lowercase
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from app.errors import InvalidSourceError
from app.formats.domain_xml import PREFIXES
from app.formats.xml_text import expressible, is_expressible
from app.models.vm import Firmware, SourceDisk, SourceNic, VmConfig

CPU_COUNT: Final = 1
MEMORY_BYTES: Final = 2 * 2**30
DEVICES: Final = {"ide": "hd", "sata": "sd", "scsi": "sd", "virtio": "vd"}
"""The buses that a disk may have, and what a guest calls disks on it."""
USUAL_BUS: Final = "virtio"


def write_domain(config: VmConfig, disks: Sequence[SourceDisk], hypervisor: str) -> bytes:
    """The VM with only these disks; `hypervisor` is whose it is, in libvirt's words.

    Raises InvalidSourceError for a path that XML can't say.
    """
    domain = Element("domain", type=hypervisor)
    SubElement(domain, "name").text = expressible(config.name)
    if config.description:
        SubElement(domain, "description").text = expressible(config.description)
    _add_os(domain, config.os)
    # virt-v2v takes any number for KiB, whatever its unit.
    SubElement(domain, "memory", unit="KiB").text = str(-(-(config.memory_bytes or MEMORY_BYTES) // 1024))
    SubElement(domain, "vcpu").text = str(config.cpu_count or CPU_COUNT)
    _add_firmware(domain, config.firmware)
    features = SubElement(domain, "features")
    SubElement(features, "acpi")
    SubElement(features, "apic")
    devices = SubElement(domain, "devices")
    _add_disks(devices, disks, hypervisor)
    _add_nics(devices, config.nics)
    data: bytes = tostring(domain, encoding="utf-8", xml_declaration=True)
    return data


def drive_letters(number: int) -> str:
    """Those of the disk of that number (from 1): a, …, z, aa, …"""
    letters = ""
    while number:
        number, letter = divmod(number - 1, len(ascii_lowercase))
        letters = ascii_lowercase[letter] + letters
    return letters


def _add_os(domain: Element, os: str | None) -> None:
    """Only a libosinfo id (`http://debian.org/debian/12`) says anything to libvirt."""
    if os is None or not os.startswith(("http://", "https://")):
        return
    name = f"{{{PREFIXES['libosinfo']}}}"
    metadata = SubElement(SubElement(domain, "metadata"), f"{name}libosinfo")
    SubElement(metadata, f"{name}os", id=expressible(os))


def _add_firmware(domain: Element, firmware: Firmware | None) -> None:
    names = {Firmware.BIOS: {"firmware": "bios"}, Firmware.UEFI: {"firmware": "efi"}, None: {}}
    system = SubElement(domain, "os", names[firmware])
    SubElement(system, "type", arch="x86_64").text = "hvm"
    if firmware is Firmware.UEFI:
        # virt-v2v before 1.44 knows UEFI by its loader alone.
        SubElement(system, "loader", readonly="yes", type="pflash")


def _add_disks(devices: Element, disks: Sequence[SourceDisk], hypervisor: str) -> None:
    numbers = {device: count(1) for device in DEVICES.values()}
    buses = [disk.bus if disk.bus in DEVICES else USUAL_BUS for disk in disks]
    if "scsi" in buses and hypervisor == "kvm":
        # Of its SCSI controllers this is the one that KVM's guests have drivers for.
        SubElement(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    for disk, bus in zip(disks, buses, strict=True):
        device = DEVICES[bus]
        _add_disk(devices, disk, f"{device}{drive_letters(next(numbers[device]))}", bus)


def _add_disk(devices: Element, disk: SourceDisk, device: str, bus: str) -> None:
    path = disk.path
    if path is None or not is_expressible(path):
        raise InvalidSourceError(f"XML can't say the path of disk {disk.label!r}, {path!r}.")
    element = SubElement(devices, "disk", type="file", device="disk")
    SubElement(element, "driver", name="qemu", type=disk.format or "raw")
    SubElement(element, "source", file=path)
    SubElement(element, "target", dev=device, bus=bus)


def _add_nics(devices: Element, nics: Iterable[SourceNic]) -> None:
    for nic in nics:
        element = SubElement(devices, "interface", type="network")
        if nic.mac:
            SubElement(element, "mac", address=expressible(nic.mac))
        SubElement(element, "source", network=expressible(nic.network or "default"))
        if nic.model:
            SubElement(element, "model", type=expressible(nic.model))
