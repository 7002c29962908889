"""Rules about a VM's disks: how they are attached, and who else writes to them."""

from collections.abc import Iterator

from app.concerns.rule import Finding, Rule
from app.models.vm import ConcernSeverity, DiskMode, VmConfig


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


def _nvme(config: VmConfig) -> Iterator[Finding]:
    for disk in config.disks:
        if disk.bus == "nvme":
            yield Finding(
                f"Disk {disk.label!r} is an NVMe disk; it becomes one of another bus.", disk_id=disk.id
            )


DISKS: tuple[Rule, ...] = (
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
        "disk_nvme",
        ConcernSeverity.INFO,
        "An NVMe disk gets another bus",
        "Check what in the guest names the disk by its device (`/dev/nvme0n1`).",
        _nvme,
    ),
)
