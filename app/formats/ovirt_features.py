"""What an OVF of oVirt tells of a VM beyond its CPUs, memory, disks and NICs."""

from collections.abc import Iterator
from typing import Any, Final
from xml.etree.ElementTree import Element

from app.formats import xml

LONGEST_VALUE: Final = 200
TRUE: Final = "true"
FLAGS: Final = {
    "AutoStartup": "high_availability",
    "IsStateless": "stateless",
    "IsSmartcardEnabled": "smartcard",
    "IsBootMenuEnabled": "boot_menu",
    "UseHostCpu": "host_cpu",
    "BalloonEnabled": "balloon",
}
"""Switches, and our names for them."""
NONE: Final[frozenset[str]] = frozenset()
TEXTS: Final = {
    "PredefinedProperties": ("custom_properties", NONE),
    "UserDefinedProperties": ("custom_properties", NONE),
    "CustomCpuName": ("cpu_model", NONE),
    "CustomEmulatedMachine": ("machine_type", NONE),
    "LeaseDomainId": ("lease", NONE),
    "TimeZone": ("time_zone", frozenset({"Etc/GMT", "GMT Standard Time", "UTC"})),
    "NumOfIoThreads": ("io_threads", frozenset({"0"})),
    "MigrationSupport": ("pinned_to_host", frozenset({"0"})),
    "ResumeBehavior": ("resume_behavior", frozenset({"AUTO_RESUME"})),
    "TemplateName": ("template", frozenset({"Blank"})),
}
"""Values, our names for them, and those that say nothing."""
DEVICES: Final = {"watchdog": "watchdog", "sound": "sound", "console": "serial_console"}
HOST_DEVICE, TPM, NIC, USB_CONTROLLER = "hostdev", "tpm", "10", "23"
NO_DISK_SNAPSHOTS: Final = frozenset({"ACTIVE", "NEXT_RUN"})
"""The VM itself, and what it will be set to when it starts again."""


def features(content: Element, disks: list[Element]) -> dict[str, Any]:
    """Fields of `VmConfig`; what isn't told is left out."""
    items = [item for item in content.iter() if xml.local(item.tag) == "Item"]
    kinds = [_type(item) for item in items]
    told = {
        "hardware_version": _engine(content),
        "has_snapshots": _has_snapshots(content) or None,
        "has_tpm": TPM in [*kinds, *_saved(content)] or None,
        "has_cpu_affinity": bool(xml.text(content, "CpuPinning")) or None,
        "passthrough_devices": tuple(_name(item) for item in items if _type(item) == HOST_DEVICE),
        "settings": {
            **dict(_settings(content)),
            **dict(_device_settings(items)),
            **({"scsi_reservation": TRUE} if _any_true(disks, "scsi_reservation") else {}),
        },
    }
    return {name: value for name, value in told.items() if value is not None}


def _type(item: Element) -> str:
    return (xml.text(item, "Type") or "").lower()


def _name(item: Element) -> str:
    return (xml.text(item, "Device") or xml.text(item, "Caption") or "unnamed")[:LONGEST_VALUE]


def _any_true(elements: list[Element], attribute: str) -> bool:
    return any((xml.attribute(element, attribute) or "").lower() == TRUE for element in elements)


def _engine(content: Element) -> str | None:
    """`ENGINE 4.5.0.0` becomes `engine-4.5.0.0`."""
    for element in content.iter():
        if xml.local(element.tag) == "VirtualSystemType":
            return "-".join((element.text or "").lower().split())[:LONGEST_VALUE] or None
    return None


def _saved(content: Element) -> Iterator[str]:
    """What the VM keeps outside of its disks."""
    section = xml.section(content, "VmExternalDataSection")
    for item in [] if section is None else xml.children(section, "VmExternalDataItem"):
        yield (xml.attribute(item, "kind") or "").lower()


def _has_snapshots(content: Element) -> bool:
    section = xml.section(content, "SnapshotsSection")
    snapshots = [] if section is None else list(xml.children(section, "Snapshot"))
    return any(xml.text(snapshot, "Type") not in NO_DISK_SNAPSHOTS for snapshot in snapshots)


def _settings(content: Element) -> Iterator[tuple[str, str]]:
    for tag, name in FLAGS.items():
        if (xml.text(content, tag) or "").lower() == TRUE:
            yield name, TRUE
    for tag, (name, usual) in TEXTS.items():
        text = xml.text(content, tag)
        if text and text not in usual:
            yield name, text[:LONGEST_VALUE]
    if xml.section(content, "NumaNodeSection") is not None:
        yield "numa", TRUE


def _device_settings(items: list[Element]) -> Iterator[tuple[str, str]]:
    for item in items:
        if _type(item) in DEVICES:
            yield DEVICES[_type(item)], _name(item)
        policy = (xml.text(item, "UsbPolicy") or "").upper()
        if xml.text(item, "ResourceType") == USB_CONTROLLER and policy not in {"", "DISABLED"}:
            yield "usb_redirection", policy[:LONGEST_VALUE]
    nics = [item for item in items if xml.text(item, "ResourceType") == NIC]
    unplugged = [_nic_name(nic) for nic in nics if (xml.text(nic, "IsPlugged") or TRUE).lower() != TRUE]
    if unplugged:
        yield "unplugged_nics", ", ".join(unplugged)[:LONGEST_VALUE]
    if any(xml.text(nic, "CustomProperties") for nic in nics):
        yield "nic_properties", TRUE


def _nic_name(item: Element) -> str:
    return xml.text(item, "Name") or "unnamed"
