"""Rules that hold for every source."""

from collections.abc import Iterator
from typing import Final

from app.concerns.rule import Finding, Rule
from app.models.vm import ConcernSeverity, DiskFault, PowerState, VmConfig

NOWHERE: Final = frozenset({DiskFault.ELSEWHERE, DiskFault.NETWORK, DiskFault.VOLUME_MISSING})


def _running(config: VmConfig) -> Iterator[Finding]:
    if config.state is PowerState.UP:
        yield Finding("The VM is up; its disks change while they are copied.")
    if config.state is PowerState.SUSPENDED:
        yield Finding("The VM is suspended; what it had in memory is not on its disks.")


def _unreadable(config: VmConfig) -> Iterator[Finding]:
    if config.unreadable is not None:
        yield Finding(config.unreadable)


def _no_disks(config: VmConfig) -> Iterator[Finding]:
    if not config.disks:
        yield Finding("The VM has no disks, so that there is nothing to convert.")


def _unreadable_disks(config: VmConfig) -> Iterator[Finding]:
    for disk in config.disks:
        # The rules of disks tell more of those.
        if disk.path is None and disk.fault not in NOWHERE:
            yield Finding(f"Disk {disk.label!r} is neither a file nor a block device.", disk_id=disk.id)


def _snapshots(config: VmConfig) -> Iterator[Finding]:
    if config.has_snapshots:
        yield Finding("The VM has snapshots; only its present state is imported.")


def _no_nics(config: VmConfig) -> Iterator[Finding]:
    if not config.nics:
        yield Finding("The VM has no network interface.")


def _nics_without_network(config: VmConfig) -> Iterator[Finding]:
    for nic in config.nics:
        if nic.network is None:
            yield Finding(f"The network of NIC {nic.mac or nic.id} is not known.", nic_id=nic.id)


def _no_memory(config: VmConfig) -> Iterator[Finding]:
    if config.memory_bytes is None or config.cpu_count is None:
        yield Finding("The source tells neither memory nor CPUs whole; virt-v2v chooses what is missing.")


def _uefi(config: VmConfig) -> Iterator[Finding]:
    if config.firmware == "uefi":
        yield Finding("The VM boots with UEFI; variables that it saved in its firmware are not imported.")


GENERAL: tuple[Rule, ...] = (
    Rule(
        "vm_running",
        ConcernSeverity.CRITICAL,
        "The VM is running",
        "Shut the VM down, then import it.",
        _running,
    ),
    Rule(
        "vm_unreadable",
        ConcernSeverity.CRITICAL,
        "The source can't tell the VM's whole configuration",
        "Mend the VM at the source: the message has what its system said.",
        _unreadable,
    ),
    Rule(
        "no_disks",
        ConcernSeverity.CRITICAL,
        "The VM has no disks",
        "Attach the VM's disks at the source.",
        _no_disks,
    ),
    Rule(
        "disk_unreadable",
        ConcernSeverity.CRITICAL,
        "A disk can't be read from the proxy host",
        "Give the disk as a file or block device on the proxy host, or leave it out with `include: false`.",
        _unreadable_disks,
    ),
    Rule(
        "snapshots_present",
        ConcernSeverity.WARNING,
        "The VM has snapshots",
        "Remove the snapshots first if the older states are not wanted.",
        _snapshots,
    ),
    Rule(
        "nic_without_network",
        ConcernSeverity.WARNING,
        "A NIC's network is not known",
        "Map the NIC by its MAC address in `nics`.",
        _nics_without_network,
    ),
    Rule(
        "uefi_variables_lost",
        ConcernSeverity.WARNING,
        "UEFI variables are not imported",
        "Check the boot order after the import; the guest's fallback loader is used.",
        _uefi,
    ),
    Rule(
        "no_nics",
        ConcernSeverity.INFO,
        "The VM has no NIC",
        "Add a NIC after the import if the VM is to have a network.",
        _no_nics,
    ),
    Rule(
        "resources_unknown",
        ConcernSeverity.INFO,
        "Memory or CPU count is not known",
        "Set `vm.memory_bytes` and `vm.cpu_count`.",
        _no_memory,
    ),
)
