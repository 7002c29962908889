"""Rules about a VM's virtual hardware: what the imported VM will not have, or have otherwise."""

from collections.abc import Iterator
from typing import Final

from app.concerns.rule import Finding, Rule
from app.models.vm import ConcernSeverity, VmConfig

FAMILIES: Final = frozenset({"vmx", "virtualbox", "xen", "engine"})
"""VMware, VirtualBox, Xen and (`ENGINE 4.5`) oVirt."""
OLDEST_VMX: Final = 4
"""What ESX 3 made; before it came products that virt-v2v never read."""


def _passthrough(config: VmConfig) -> Iterator[Finding]:
    for device in config.passthrough_devices:
        yield Finding(f"The VM was given a device of its host ({device}), which it will not have.")


def _usb(config: VmConfig) -> Iterator[Finding]:
    for device in config.usb_devices:
        yield Finding(f"The VM was given a USB device ({device}), which it will not have.")


def _nic_passthrough(config: VmConfig) -> Iterator[Finding]:
    for nic in config.nics:
        if nic.model == "passthrough":
            yield Finding(
                f"NIC {nic.mac or nic.id} is a function of a card of its host (SR-IOV).", nic_id=nic.id
            )


def _hardware_version(config: VmConfig) -> Iterator[Finding]:
    version = config.hardware_version
    if version is None:
        return
    family, _, number = version.lower().partition("-")
    is_too_old = family == "vmx" and number.isdecimal() and int(number) < OLDEST_VMX
    if family not in FAMILIES or is_too_old:
        yield Finding(f"The VM's virtual hardware, {version!r}, is none that virt-v2v is known to convert.")


def _hot_add(config: VmConfig) -> Iterator[Finding]:
    kinds = {"CPUs": config.cpu_hot_add, "memory": config.memory_hot_add}
    able = " and ".join(kind for kind, is_able in kinds.items() if is_able)
    if able:
        yield Finding(f"The VM can be given more {able} while it runs; that is not imported.")


def _nested(config: VmConfig) -> Iterator[Finding]:
    if config.nested_virtualization:
        yield Finding("The VM may run VMs of its own; that is not imported.")


def _cpu_affinity(config: VmConfig) -> Iterator[Finding]:
    if config.has_cpu_affinity:
        yield Finding("The VM is bound to CPUs of its host; that is not imported.")


def _no_mac(config: VmConfig) -> Iterator[Finding]:
    for nic in config.nics:
        if nic.mac is None:
            yield Finding(f"The MAC address of NIC {nic.id} is not known; it gets a new one.", nic_id=nic.id)


HARDWARE: tuple[Rule, ...] = (
    Rule(
        "passthrough_device",
        ConcernSeverity.WARNING,
        "A device of the host was passed through",
        "Give the VM a device of its new host after the import, if it needs one.",
        _passthrough,
    ),
    Rule(
        "usb_device",
        ConcernSeverity.WARNING,
        "A USB device was passed through",
        "Attach the device (often a licence key) to the VM's new host.",
        _usb,
    ),
    Rule(
        "nic_passthrough",
        ConcernSeverity.WARNING,
        "A NIC was passed through",
        "The imported VM has an ordinary NIC; map its network in `nics`.",
        _nic_passthrough,
    ),
    Rule(
        "hardware_version_unknown",
        ConcernSeverity.WARNING,
        "The virtual hardware is of an unknown kind",
        "Try the import, and check devices and drivers of the result.",
        _hardware_version,
    ),
    Rule(
        "hot_add",
        ConcernSeverity.INFO,
        "Adding CPUs or memory while the VM runs is not imported",
        "Set it at the destination anew.",
        _hot_add,
    ),
    Rule(
        "nested_virtualization",
        ConcernSeverity.INFO,
        "Nested virtualization is not imported",
        "Set it at the destination anew.",
        _nested,
    ),
    Rule(
        "cpu_affinity",
        ConcernSeverity.INFO,
        "CPU affinity is not imported",
        "Set it at the destination anew, if it is still wanted.",
        _cpu_affinity,
    ),
    Rule(
        "nic_without_mac",
        ConcernSeverity.INFO,
        "A NIC's MAC address is not known",
        "Give it one after the import, if leases or licences hang on it.",
        _no_mac,
    ),
)
