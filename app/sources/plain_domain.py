"""Gives virt-v2v a VM as libvirt XML of ours: only what was looked at, nothing that came from outside."""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from app.errors import InvalidSourceError
from app.formats.xml_text import expressible, is_expressible
from app.models.imports import ImportProperties
from app.models.vm import Firmware, SourceDisk, SourceNic, VmConfig
from app.sources.properties import included
from app.v2v.command import V2vFile, V2vInput

FILE_NAME = "source.xml"
CPU_COUNT = 1
MEMORY_BYTES = 2 * 2**30
BUSES = frozenset({"ide", "sata", "scsi", "virtio"})


def given_as_domain(
    config: VmConfig, properties: ImportProperties, attempt_dir: str, *, hypervisor: str = "kvm"
) -> V2vInput:
    """The VM without the disks that are to be left out; `hypervisor` is whose it was, in libvirt's words.

    Raises InvalidSourceError for a path that XML can't say.
    """
    data = plain_domain(config, included(config.disks, properties), hypervisor)
    return V2vInput(
        argv=("-i", "libvirtxml", f"{attempt_dir}/{FILE_NAME}"),
        files=(V2vFile(name=FILE_NAME, data=data),),
    )


def plain_domain(config: VmConfig, disks: Sequence[SourceDisk], hypervisor: str) -> bytes:
    """The VM with only these disks. Raises InvalidSourceError for a path that XML can't say."""
    domain = Element("domain", type=hypervisor)
    SubElement(domain, "name").text = expressible(config.name)
    # virt-v2v takes any number for KiB, whatever its unit.
    SubElement(domain, "memory", unit="KiB").text = str(-(-(config.memory_bytes or MEMORY_BYTES) // 1024))
    SubElement(domain, "vcpu").text = str(config.cpu_count or CPU_COUNT)
    _add_firmware(domain, config.firmware)
    features = SubElement(domain, "features")
    SubElement(features, "acpi")
    SubElement(features, "apic")
    devices = SubElement(domain, "devices")
    for number, disk in enumerate(disks):
        _add_disk(devices, disk, number)
    _add_nics(devices, config.nics)
    data: bytes = tostring(domain, encoding="utf-8", xml_declaration=True)
    return data


def _add_firmware(domain: Element, firmware: Firmware | None) -> None:
    names = {Firmware.BIOS: {"firmware": "bios"}, Firmware.UEFI: {"firmware": "efi"}, None: {}}
    system = SubElement(domain, "os", names[firmware])
    SubElement(system, "type", arch="x86_64").text = "hvm"
    if firmware is Firmware.UEFI:
        # virt-v2v before 1.44 knows UEFI by its loader alone.
        SubElement(system, "loader", readonly="yes", type="pflash")


def _add_disk(devices: Element, disk: SourceDisk, number: int) -> None:
    path = disk.path
    if path is None or not is_expressible(path):
        raise InvalidSourceError(f"virt-v2v can't be told the path of disk {disk.label!r}, {path!r}.")
    element = SubElement(devices, "disk", type="file", device="disk")
    SubElement(element, "driver", name="qemu", type=disk.format or "raw")
    SubElement(element, "source", file=path)
    bus = disk.bus if disk.bus in BUSES else "virtio"
    SubElement(element, "target", dev=f"disk{number}", bus=bus)


def _add_nics(devices: Element, nics: Iterable[SourceNic]) -> None:
    for nic in nics:
        element = SubElement(devices, "interface", type="network")
        if nic.mac:
            SubElement(element, "mac", address=expressible(nic.mac))
        SubElement(element, "source", network=expressible(nic.network or "default"))
        if nic.model:
            SubElement(element, "model", type=expressible(nic.model))
