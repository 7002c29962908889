"""Rules about what is in the guest, where somebody has looked into it (a deep scan)."""

from collections.abc import Iterator
from typing import Final

from app.concerns.rule import Finding, Rule
from app.models.vm import ConcernSeverity, Guest, VmConfig

MIB: Final = 2**20
ROOM: Final = {"/": 100 * MIB, "/boot": 50 * MIB}
ROOM_ELSEWHERE: Final = 10 * MIB
"""What virt-v2v wants free (virt-v2v(1), "Free space in the guest"); on Windows `/` is `C:`."""
SYSTEMS: Final = frozenset({"linux", "windows"})
EL: Final = frozenset({"almalinux", "centos", "circle", "oraclelinux", "redhat-based", "rhel", "rocky"})
CONVERTED: Final = EL | {
    "altlinux",
    "debian",
    "fedora",
    "kalilinux",
    "linuxmint",
    "opensuse",
    "scientificlinux",
    "sles",
    "suse-based",
    "ubuntu",
}
"""The distributions that virt-v2v converts, by libguestfs's names."""
FIRST_EL_THAT_NEEDS_NEWER: Final = 9
FIRST_WITH_EL9: Final = (2, 3, 4)


def _no_system(config: VmConfig) -> Iterator[Finding]:
    if config.guest is not None and config.guest.type is None:
        yield Finding("No operating system was found on the VM's disks.")


def _unsupported(config: VmConfig) -> Iterator[Finding]:
    guest = config.guest
    if guest is None or guest.type is None:
        return
    if guest.type not in SYSTEMS:
        yield Finding(f"virt-v2v converts no {guest.type} guests.")
    elif guest.type == "linux" and guest.distro not in CONVERTED:
        yield Finding(f"virt-v2v doesn't convert this distribution: {guest.distro or 'unknown'}.")


def _needs_newer(config: VmConfig) -> Iterator[Finding]:
    guest = config.guest
    if guest is None or guest.distro not in EL or _major(guest) < FIRST_EL_THAT_NEEDS_NEWER:
        return
    version = guest.virt_v2v_version
    numbers = tuple(int(part) for part in (version or "").split(".") if part.isdigit())
    if numbers and numbers < FIRST_WITH_EL9:
        yield Finding(f"The guest is {guest.name}; the proxy host's virt-v2v {version} can't convert it.")


def _major(guest: Guest) -> int:
    major = (guest.version or "").split(".")[0]
    return int(major) if major.isdigit() else 0


def _little_room(config: VmConfig) -> Iterator[Finding]:
    for system in config.guest.filesystems if config.guest else ():
        needed = ROOM.get(system.mount_point, ROOM_ELSEWHERE)
        if system.free_bytes is not None and system.free_bytes < needed:
            yield Finding(
                f"{system.mount_point!r} in the guest has {system.free_bytes // MIB} MiB free; "
                f"virt-v2v needs {needed // MIB}."
            )


def _unmountable(config: VmConfig) -> Iterator[Finding]:
    for system in config.guest.filesystems if config.guest else ():
        if system.size_bytes is None:
            yield Finding(f"{system.device} can't be mounted at {system.mount_point!r}.")


def _several_systems(config: VmConfig) -> Iterator[Finding]:
    if config.guest is not None and config.guest.root_count > 1:
        yield Finding(f"The guest has {config.guest.root_count} operating systems; the first is converted.")


def _no_virtio(config: VmConfig) -> Iterator[Finding]:
    guest = config.guest
    if guest is not None and guest.type == "linux" and guest.has_virtio is False:
        yield Finding("None of the guest's kernels has virtio drivers.")


def _no_virtio_win(config: VmConfig) -> Iterator[Finding]:
    guest = config.guest
    if guest is None or guest.type != "windows" or guest.has_virtio or guest.host_has_virtio_win:
        return
    yield Finding("The guest is Windows without virtio drivers, and the proxy host has no virtio-win.")


def _unstable_devices(config: VmConfig) -> Iterator[Finding]:
    names = config.guest.unstable_devices if config.guest else ()
    if names:
        yield Finding(f"The guest's /etc/fstab names devices by their place: {', '.join(names)}.")


def _other_firmware(config: VmConfig) -> Iterator[Finding]:
    guest = config.guest
    if guest is not None and config.firmware is not None and guest.firmware not in {None, config.firmware}:
        yield Finding(f"The VM is set to {config.firmware}, but its disks boot by {guest.firmware}.")


GUEST: tuple[Rule, ...] = (
    Rule(
        "guest_without_system",
        ConcernSeverity.CRITICAL,
        "The guest has no operating system",
        "Leave data disks to their VM, or copy with `conversion.mode: copy`.",
        _no_system,
    ),
    Rule(
        "guest_unsupported",
        ConcernSeverity.CRITICAL,
        "virt-v2v doesn't convert this operating system",
        "If it has virtio drivers of its own, copy it with `conversion.mode: copy`.",
        _unsupported,
    ),
    Rule(
        "guest_needs_newer_virt_v2v",
        ConcernSeverity.CRITICAL,
        "The guest needs a newer virt-v2v",
        "Import it on a proxy host with virt-v2v 2.3.4 or newer.",
        _needs_newer,
    ),
    Rule(
        "guest_without_room",
        ConcernSeverity.CRITICAL,
        "A file system in the guest has too little room",
        "Make room in the guest, then import it.",
        _little_room,
    ),
    Rule(
        "guest_filesystem_unmountable",
        ConcernSeverity.WARNING,
        "A file system of the guest can't be mounted",
        "Start the guest and shut it down cleanly; look at its /etc/fstab.",
        _unmountable,
    ),
    Rule(
        "guest_with_several_systems",
        ConcernSeverity.WARNING,
        "The guest has several operating systems",
        "Choose one with `conversion.root`.",
        _several_systems,
    ),
    Rule(
        "guest_without_virtio",
        ConcernSeverity.WARNING,
        "The guest has no virtio drivers",
        "Install a kernel with virtio drivers; without it the disks stay on an older bus.",
        _no_virtio,
    ),
    Rule(
        "virtio_win_missing",
        ConcernSeverity.WARNING,
        "There are no virtio drivers for the Windows guest",
        "Install virtio-win on the proxy host, or set VIRTIO_WIN in its `environment`.",
        _no_virtio_win,
    ),
    Rule(
        "guest_fstab_unstable",
        ConcernSeverity.WARNING,
        "The guest names disks by where they are attached",
        "Use UUIDs or labels in the guest's /etc/fstab; virt-v2v mends only some of these names.",
        _unstable_devices,
    ),
    Rule(
        "guest_firmware_differs",
        ConcernSeverity.WARNING,
        "The VM's firmware is not what its disks boot by",
        "virt-v2v goes by the disks; check the VM's settings at the source.",
        _other_firmware,
    ),
)
