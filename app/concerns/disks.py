"""Rules about a VM's disks: how they are attached, and who else writes to them."""

from collections.abc import Callable, Iterator

from app.concerns.rule import Finding, Rule
from app.models.vm import ConcernSeverity, DiskFault, DiskMode, VmConfig


def _raw_devices(config: VmConfig) -> Iterator[Finding]:
    for disk in config.disks:
        if disk.is_raw_device:
            yield Finding(
                f"Disk {disk.label!r} is a raw device (RDM); its content is copied.", disk_id=disk.id
            )


def _shared(config: VmConfig) -> Iterator[Finding]:
    for disk in config.disks:
        if disk.is_shared:
            yield Finding(f"Disk {disk.label!r} is shared; other VMs may write to it.", disk_id=disk.id)


def _nonpersistent(config: VmConfig) -> Iterator[Finding]:
    for disk in config.disks:
        if disk.mode is DiskMode.INDEPENDENT_NONPERSISTENT:
            yield Finding(f"Disk {disk.label!r} forgets its changes at the source.", disk_id=disk.id)


def _independent(config: VmConfig) -> Iterator[Finding]:
    for disk in config.disks:
        if disk.mode is DiskMode.INDEPENDENT_PERSISTENT:
            yield Finding(f"Disk {disk.label!r} is independent of snapshots.", disk_id=disk.id)


def _fault(fault: DiskFault, sentence: str) -> Callable[[VmConfig], Iterator[Finding]]:
    """Finds disks with that fault; `{!r}` in the sentence is the disk's label."""

    def find(config: VmConfig) -> Iterator[Finding]:
        for disk in config.disks:
            if disk.fault is fault:
                yield Finding(sentence.format(disk.label), disk_id=disk.id)

    return find


def _emulated(config: VmConfig) -> Iterator[Finding]:
    """Only where it is a choice: with VMware, such a bus is as good as another."""
    for disk in config.disks if (config.hardware_version or "").startswith("engine") else ():
        if disk.bus in {"ide", "sata"}:
            yield Finding(
                f"Disk {disk.label!r} is on an emulated bus ({disk.bus}); a copy keeps it.", disk_id=disk.id
            )


def _nvme(config: VmConfig) -> Iterator[Finding]:
    for disk in config.disks:
        if disk.bus == "nvme":
            yield Finding(
                f"Disk {disk.label!r} is an NVMe disk; it becomes one of another bus.", disk_id=disk.id
            )


DISKS: tuple[Rule, ...] = (
    Rule(
        "disk_illegal",
        ConcernSeverity.CRITICAL,
        "A disk is illegal at its storage",
        "A copy or a merge of snapshots was not finished. Repair the disk at its source, or leave it out.",
        _fault(DiskFault.ILLEGAL, "The storage of disk {!r} calls a volume of it illegal or incomplete."),
    ),
    Rule(
        "disk_elsewhere",
        ConcernSeverity.CRITICAL,
        "A disk is on no storage of the VM's domain",
        "Leave it out with `include: false`, and attach or copy it by the means of its own storage.",
        _fault(DiskFault.ELSEWHERE, "Disk {!r} is a LUN, or a volume of another service (Cinder)."),
    ),
    Rule(
        "disk_network",
        ConcernSeverity.CRITICAL,
        "A disk is read over the network by its hypervisor",
        "Copy it to a file or a block device of its host first, or leave it out with `include: false`.",
        _fault(DiskFault.NETWORK, "Disk {!r} is neither a file nor a block device of the VM's host."),
    ),
    Rule(
        "disk_volume_missing",
        ConcernSeverity.CRITICAL,
        "A disk's volume is not there",
        "Start its storage pool and refresh it at the source, or leave the disk out with `include: false`.",
        _fault(DiskFault.VOLUME_MISSING, "The storage pool of disk {!r} does not have its volume."),
    ),
    Rule(
        "disk_encrypted",
        ConcernSeverity.CRITICAL,
        "A disk is encrypted by its hypervisor",
        "Decrypt it at the source (`qemu-img convert`), or leave it out with `include: false`.",
        _fault(DiskFault.ENCRYPTED, "Disk {!r} is encrypted with a key that its hypervisor keeps."),
    ),
    Rule(
        "disk_outdated",
        ConcernSeverity.WARNING,
        "A disk's volume is not its newest",
        "The VM's description is older than its disks. Export the VM anew if its newest state is wanted.",
        _fault(DiskFault.OUTDATED, "The volume of disk {!r} that the VM names has others on top of it."),
    ),
    Rule(
        "disk_raw_device",
        ConcernSeverity.WARNING,
        "A disk is a raw device",
        "The copy is an ordinary disk; leave it out with `include: false` to attach the LUN itself later.",
        _raw_devices,
    ),
    Rule(
        "disk_shared",
        ConcernSeverity.WARNING,
        "A disk is shared with other VMs",
        "Shut all its VMs down; import the disk with one of them only.",
        _shared,
    ),
    Rule(
        "disk_nonpersistent",
        ConcernSeverity.WARNING,
        "A disk forgets its changes at the source",
        "The imported disk keeps them. Set that at the destination anew if it is not wanted.",
        _nonpersistent,
    ),
    Rule(
        "disk_independent",
        ConcernSeverity.INFO,
        "A disk is independent of snapshots",
        "The imported disk takes part in them.",
        _independent,
    ),
    Rule(
        "disk_emulated_bus",
        ConcernSeverity.INFO,
        "A disk is on an emulated bus",
        "Where the guest has virtio's drivers, `disks[].bus` (for copies) gives it a faster one.",
        _emulated,
    ),
    Rule(
        "disk_nvme",
        ConcernSeverity.INFO,
        "An NVMe disk gets another bus",
        "Check what in the guest names the disk by its device (`/dev/nvme0n1`).",
        _nvme,
    ),
)
