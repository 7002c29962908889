"""What a libvirt domain tells of a VM beyond its CPUs, memory, disks and NICs."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from xml.etree.ElementTree import Element

from app.formats import xml

LONGEST_VALUE: Final = 200
TRUE: Final = "true"
YES: Final = "yes"
X86: Final = frozenset({"x86_64", "i686"})
PERSISTENT_MEMORY: Final = frozenset({"nvdimm", "virtio-pmem"})
ITS_OWN_WATCHDOG: Final = "itco"
"""The chipset's, which libvirt tells of each VM that has the chipset."""
NO_CHOICE: Final = frozenset({"qemu64", "qemu32", "kvm64", "kvm32"})
"""The CPU models that a VM has when nobody chose one."""
Elements = list[Element]


def features(domain: Element) -> dict[str, Any]:
    """Fields of `VmConfig`; what isn't told is left out."""
    devices = xml.child(domain, "devices")
    hostdevs = _all(devices, "hostdev")
    told = {
        "secure_boot": _has_secure_boot(domain) or None,
        "has_tpm": bool(_all(devices, "tpm")) or None,
        "cpu_hot_add": xml.attribute(xml.child(domain, "vcpu"), "current") is not None or None,
        "memory_hot_add": xml.child(domain, "maxMemory") is not None or None,
        "nested_virtualization": _is_nested(domain) or None,
        "has_cpu_affinity": _has_cpu_affinity(domain) or None,
        "passthrough_devices": tuple(_device(one) for one in hostdevs if not _is_usb(one)),
        "usb_devices": tuple(_device(one) for one in hostdevs if _is_usb(one)),
        "settings": {name: value[:LONGEST_VALUE] for name, value in _settings(domain, devices)},
    }
    return {name: value for name, value in told.items() if value is not None}


def _all(parent: Element | None, name: str) -> Elements:
    return [] if parent is None else list(xml.children(parent, name))


def _has_secure_boot(domain: Element) -> bool:
    system = xml.child(domain, "os")
    features_ = _all(xml.child(system, "firmware"), "feature")
    return xml.attribute(xml.child(system, "loader"), "secure") == YES or any(
        xml.attribute(one, "name") == "secure-boot" and xml.attribute(one, "enabled") == YES
        for one in features_
    )


def _is_nested(domain: Element) -> bool:
    """Whether the guest was told to see the processor's virtualization."""
    asked = _all(xml.child(domain, "cpu"), "feature")
    return any(
        xml.attribute(one, "name") in {"vmx", "svm"}
        and xml.attribute(one, "policy") in {"require", "force", None}
        for one in asked
    )


def _has_cpu_affinity(domain: Element) -> bool:
    return (
        xml.attribute(xml.child(domain, "vcpu"), "cpuset") is not None
        or xml.child(domain, "cputune", "vcpupin") is not None
        or xml.child(domain, "cputune", "emulatorpin") is not None
    )


def _is_usb(hostdev: Element) -> bool:
    return xml.attribute(hostdev, "type") == "usb"


def _device(hostdev: Element) -> str:
    """What its address on the host, or its maker, says: `pci 0000:3b:00.0`."""
    kind = xml.attribute(hostdev, "type") or xml.attribute(hostdev, "mode") or "device"
    source = xml.child(hostdev, "source")
    address = xml.child(source, "address")
    maker, product = xml.child(source, "vendor"), xml.child(source, "product")
    if address is not None and xml.attribute(address, "slot") is not None:
        names = ("domain", "bus", "slot", "function")
        place = "{}:{}:{}.{}".format(*(_digits(xml.attribute(address, name)) for name in names))
    elif maker is not None and product is not None:
        place = f"{_digits(xml.attribute(maker, 'id'))}:{_digits(xml.attribute(product, 'id'))}"
    else:
        place = xml.attribute(address, "uuid") or xml.attribute(xml.child(source, "adapter"), "name") or ""
    return f"{kind} {place}".strip()[:LONGEST_VALUE]


def _digits(number: str | None) -> str:
    return (number or "0").removeprefix("0x")


def _settings(domain: Element, devices: Element | None) -> Iterator[tuple[str, str]]:
    """Names of ours, and values."""
    yield from _system_settings(domain)
    yield from _cpu_settings(domain)
    for name, value in _device_settings(devices):
        if value:
            yield name, value


def _system_settings(domain: Element) -> Iterator[tuple[str, str]]:
    system = xml.child(domain, "os")
    kind = xml.child(system, "type")
    architecture = xml.attribute(kind, "arch")
    if architecture is not None and architecture not in X86:
        yield "architecture", architecture
    if (xml.text(kind) or "").lower() in {"xen", "linux"}:
        yield "paravirtual", TRUE
    if kernel := xml.text(system, "kernel"):
        yield "direct_kernel", kernel
    if xml.attribute(xml.child(system, "smbios"), "mode") == "sysinfo":
        yield "smbios", TRUE
    security = xml.child(domain, "launchSecurity")
    if security is not None:
        yield "launch_security", xml.attribute(security, "type") or TRUE
    if xml.child(domain, "memoryBacking", "hugepages") is not None:
        yield "huge_pages", TRUE
    yield from _clock(xml.child(domain, "clock"))
    arguments = [xml.attribute(one, "value") for one in _all(xml.child(domain, "commandline"), "arg")]
    if said := " ".join(one for one in arguments if one):
        yield "qemu_arguments", said


def _clock(clock: Element | None) -> Iterator[tuple[str, str]]:
    offset = xml.attribute(clock, "offset")
    if offset == "localtime":
        yield "time_zone", "of its host"
    elif offset == "timezone":
        yield "time_zone", xml.attribute(clock, "timezone") or "of its host"


def _cpu_settings(domain: Element) -> Iterator[tuple[str, str]]:
    cpu = xml.child(domain, "cpu")
    mode = xml.attribute(cpu, "mode")
    if mode in {"host-passthrough", "maximum"}:
        yield "host_cpu", mode
    model = xml.text(cpu, "model")
    if mode in {None, "custom"} and model and model not in NO_CHOICE:
        yield "cpu_model", model
    if xml.child(cpu, "numa") is not None or xml.child(domain, "numatune") is not None:
        yield "numa", TRUE
    threads = xml.text(domain, "iothreads")
    if threads and threads != "0":
        yield "io_threads", threads


def _device_settings(devices: Element | None) -> Iterator[tuple[str, str]]:
    disks, nics = _all(devices, "disk"), _all(devices, "interface")
    yield "watchdog", _names(_all(devices, "watchdog"), "model", without=ITS_OWN_WATCHDOG)
    yield "sound", _names(_all(devices, "sound"), "model")
    yield "smartcard", _names(_all(devices, "smartcard"), "mode")
    yield "usb_redirection", _names(_all(devices, "redirdev"), "bus")
    yield "shared_memory", _names(_all(devices, "shmem"), "name")
    folders = [xml.child(one, "target") for one in _all(devices, "filesystem")]
    yield "shared_folders", _names(folders, "dir")
    memories = [one for one in _all(devices, "memory") if xml.attribute(one, "model") in PERSISTENT_MEMORY]
    yield "persistent_memory", _names(memories, "model")
    yield "host_socket", _flag(_all(devices, "vsock"), lambda _: True)
    yield "disk_limits", _flag(disks, lambda disk: xml.child(disk, "iotune") is not None)
    yield "disk_serials", ", ".join(filter(None, (xml.text(disk, "serial") for disk in disks)))
    yield "scsi_reservation", _flag(disks, _is_reserved)
    yield "network_filter", _names([xml.child(nic, "filterref") for nic in nics], "filter")
    yield "network_limits", _flag(nics, lambda nic: xml.child(nic, "bandwidth") is not None)
    unplugged = [nic for nic in nics if xml.attribute(xml.child(nic, "link"), "state") == "down"]
    yield "unplugged_nics", ", ".join(_mac(nic) for nic in unplugged)


def _is_reserved(disk: Element) -> bool:
    return xml.child(disk, "source", "reservations") is not None


def _mac(nic: Element) -> str:
    return xml.attribute(xml.child(nic, "mac"), "address") or "unnamed"


def _names(elements: Iterable[Element | None], attribute: str, *, without: str = "") -> str:
    """The attribute of each, without repetitions."""
    found = (xml.attribute(one, attribute) or "unnamed" for one in elements if one is not None)
    return ", ".join(dict.fromkeys(name for name in found if name != without))


def _flag(elements: Elements, is_so: Callable[[Element], bool]) -> str:
    return TRUE if any(is_so(one) for one in elements) else ""
