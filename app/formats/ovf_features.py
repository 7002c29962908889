"""What an OVF tells of a VM beyond its CPUs, memory, disks and NICs; mostly VMware's extensions."""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element

from app.formats import xml

TPM: Final = "vmware.vtpm"
PASSED_THROUGH: Final = ("vmware.pcipassthrough", "vmware.sriov")
USB_DEVICE: Final = "vmware.usb.device"


def features(system: Element, envelope: Element, items: Sequence[Element]) -> dict[str, Any]:
    """Fields of `VmConfig`; what isn't told is left out."""
    config = dict(_config(system))
    subtypes = [(xml.text(item, "ResourceSubType") or "").lower() for item in items]
    told = {
        "hardware_version": _hardware_version(system),
        "secure_boot": _flag(config, "bootOptions.efiSecureBootEnabled", "uefi.secureBoot.enabled"),
        "cpu_hot_add": _flag(config, "cpuHotAddEnabled", "vcpu.hotadd"),
        "memory_hot_add": _flag(config, "memoryHotAddEnabled", "mem.hotadd"),
        "nested_virtualization": _flag(config, "nestedHVEnabled", "vhv.enable"),
        "has_tpm": TPM in subtypes or None,
        "is_encrypted": any(xml.local(it.tag) == "EncryptedData" for it in envelope.iter()) or None,
        "passthrough_devices": tuple(_named(items, PASSED_THROUGH)),
        "usb_devices": tuple(_named(items, (USB_DEVICE,))),
    }
    return {name: value for name, value in told.items() if value is not None}


def _hardware_version(system: Element) -> str | None:
    """The first of what the VM may run on: `vmx-10 vmx-11`."""
    for element in system.iter():
        if xml.local(element.tag) == "VirtualSystemType":
            return next(iter((element.text or "").split()), None)
    return None


def _config(system: Element) -> Iterator[tuple[str, str]]:
    for element in system.iter():
        key = xml.attribute(element, "key")
        if xml.local(element.tag) in {"Config", "ExtraConfig"} and key:
            yield key.lower(), (xml.attribute(element, "value") or "").lower()


def _flag(config: dict[str, str], *keys: str) -> bool | None:
    """Whether one of the keys, which mean the same, says so; None where none is there."""
    values = [config[key.lower()] for key in keys if key.lower() in config]
    return "true" in values if values else None


def _named(items: Sequence[Element], subtypes: Sequence[str]) -> Iterator[str]:
    for item in items:
        if (xml.text(item, "ResourceSubType") or "").lower().startswith(tuple(subtypes)):
            yield xml.text(item, "ElementName") or xml.text(item, "Caption") or "unnamed"
