"""The catalogue of virt-v2v's failures: its own words to the user, with a stable code and what to do."""

import re
import unicodedata
from collections.abc import Sequence
from typing import ClassVar, Final

from app.errors import ConversionFailedError

LONGEST_DETAIL: Final = 2000


class KnownFailureError(ConversionFailedError):
    """A failure that is recognised by what virt-v2v (or a tool that it runs) said."""

    pattern: ClassVar[str]
    """A regular expression, searched for in all errors, case ignored."""


class GuestMemoryError(KnownFailureError):
    code, title = "host_out_of_memory", "The proxy host has too little memory for the conversion"
    hint = "A conversion needs about 2 GiB; lower `max_concurrent_imports` of the proxy host."
    pattern = r"cannot allocate memory|could not allocate|out of memory"


class NoOsFoundError(KnownFailureError):
    code, title = "no_os_found", "No operating system was found on the disks"
    hint = "Check that the system disk is among the VM's disks, is whole, and holds a supported guest."
    pattern = (
        r"inspection could not detect the source guest|no root device found in this operating system image"
    )


class MultiBootError(KnownFailureError):
    code, title = "multi_boot", "The VM holds several operating systems"
    hint = "Name the one to convert in `conversion.root`, for example `/dev/sda2`, or `first`."
    pattern = (
        r"multi-?boot operating systems are not supported|--root (option|first)|device .* does not contain"
    )


class UnsupportedGuestError(KnownFailureError):
    code, title = "unsupported_guest", "virt-v2v can't convert this operating system"
    hint = "A newer virt-v2v on the proxy host may know it; see virt-v2v-support(1)."
    pattern = r"unable to convert this guest type|virt-v2v is unable to convert|is not supported by virt-v2v"


class GuestNoSpaceError(KnownFailureError):
    code, title = "guest_no_space", "A file system in the guest has too little free space"
    hint = "Free 100 MB on `/` or `C:`, 50 MB on `/boot` and 10 MB elsewhere in the VM, then retry."
    pattern = r"not enough free space for conversion|not enough available inodes"


class HostNoSpaceError(KnownFailureError):
    code, title = "host_no_space", "The proxy host or the storage has too little free space"
    hint = "Free space in the proxy host's `work_dir` and on the storage domain, then retry."
    pattern = r"insufficient free space in the conversion server|no space left on device|disk quota exceeded"


class HibernatedWindowsError(KnownFailureError):
    code, title = "hibernated_windows", "Windows was hibernated or shut down with Fast Startup"
    hint = "Start the VM, disable Fast Startup, shut Windows down wholly (`shutdown /s /t 0`), then retry."
    pattern = r"hibernat|fast (restart|startup)|unsafe state|unclean file system"


class DirtyFilesystemError(KnownFailureError):
    code, title = "filesystem_unclean", "A file system of the guest can't be mounted for writing"
    hint = "Start the VM, let it check its file systems, shut it down cleanly, then retry."
    pattern = r"mounted? .*read-?only|mount_ro|unable to mount|could not mount"


class MissingDriversError(KnownFailureError):
    code, title = "missing_drivers", "The drivers for this Windows are not on the proxy host"
    hint = "Install the virtio-win package on the proxy host, or point VIRTIO_WIN at it."
    pattern = r"virtio drivers? (available|are missing)|no virtio drivers|virtio-win.*(not found|missing)"


class MissingToolError(KnownFailureError):
    code, title = "missing_tool", "A program that virt-v2v needs is not on the proxy host"
    hint = "Install it on the proxy host; for Windows guests that is rhsrvany.exe or pvvxsvc.exe."
    pattern = (
        r"rhsrvany|pvvxsvc|pnp_wait|command not found|is not installed|plugin '?\w+'? is not installed|"
        r"executable .* not found"
    )


class EncryptedDiskError(KnownFailureError):
    code, title = "encrypted_disk", "A disk is encrypted and no key opens it"
    hint = "Give the passphrases in `conversion.luks_keys`, or decrypt the disk first."
    pattern = r"could not find key to open|luks|bitlocker|encrypted (block )?device|cryptsetup"


class NoKernelError(KnownFailureError):
    code, title = "no_kernel", "The guest has no kernel that could be converted"
    hint = "Install one of the distribution's own kernels in the VM, then retry."
    pattern = r"no (installed|bootable) kernels?|no kernels were found|could not find .*kernel"


class InitramfsError(KnownFailureError):
    code, title = "initramfs_failed", "The guest's initramfs could not be rebuilt"
    hint = "Read the log: the guest's own tool (dracut, update-initramfs) says why."
    pattern = r"initramfs|initrd|dracut|mkinitrd"


class GuestPackagesError(KnownFailureError):
    code, title = "guest_packages_broken", "The guest's package database can't be read"
    hint = "Repair it in the VM (`rpm --rebuilddb`, `dpkg --configure -a`), then retry."
    pattern = r"rpm database|rpmdb|dpkg.*(failed|broken)|package (database|list)"


class RegistryError(KnownFailureError):
    code, title = "windows_registry_unreadable", "The registry of this Windows can't be read"
    hint = "Start the VM once and shut it down cleanly, then retry."
    pattern = r"hivex|registry hive|windows registry"


class ApplianceError(KnownFailureError):
    code, title = "appliance_failed", "libguestfs could not start its appliance on the proxy host"
    hint = "Run `libguestfs-test-tool` on the proxy host; read its last lines."
    pattern = (
        r"guestfs_launch failed|appliance (closed the connection|.*failed)|supermin|"
        r"child process died unexpectedly|could not access kvm"
    )


class OvaUnreadableError(KnownFailureError):
    code, title = "ova_unreadable", "virt-v2v can't read the OVA"
    hint = "Check the archive: one `.ovf`, its disks, and a manifest whose checksums fit."
    pattern = r"\bova\b|\.ovf|manifest|checksum of disk"


class SourceMissingError(KnownFailureError):
    code, title = "source_vanished", "virt-v2v did not find the source's disk"
    hint = "The file was moved or removed after the import had looked at it."
    pattern = r"no such file or directory|does not exist"


class SourceDeniedError(KnownFailureError):
    code, title = "source_permission_denied", "virt-v2v may not read the source, or not write to the target"
    hint = "Check owner, mode and SELinux context of the files for the user that virt-v2v runs as."
    pattern = r"permission denied|operation not permitted|access denied"


class SourceLoginError(KnownFailureError):
    code, title = "source_login_failed", "The source refused the user name or password"
    hint = "Check the credentials; the service doesn't try again by itself, for accounts get locked."
    pattern = r"authentication failed|login failed|incorrect user name or password|401 unauthorized"


class SourceConnectionError(KnownFailureError):
    code, title = "source_unreachable", "The connection to the source failed"
    hint = "Check that the proxy host reaches the source, then retry."
    pattern = (
        r"connection (refused|reset|timed out)|could not connect|no route to host|name or service not known"
    )


class DiskImageError(KnownFailureError):
    code, title = "disk_image_unreadable", "A disk image can't be read"
    hint = "Check it with `qemu-img check`; it may be damaged or of another format."
    pattern = (
        r"could not open|image is corrupt|not in .* format|invalid (image|qcow2|vmdk)|input/output error|"
        r"unexpected end of file"
    )


class CopyFailedError(KnownFailureError):
    code, title = "copy_failed", "A disk could not be copied"
    hint = "Read the log: nbdcopy or nbdkit says why."
    pattern = r"nbdcopy|nbdkit|qemu-nbd|qemu-img"


CATALOGUE: Final[tuple[type[KnownFailureError], ...]] = (
    NoOsFoundError,
    MultiBootError,
    HostNoSpaceError,
    GuestNoSpaceError,
    HibernatedWindowsError,
    EncryptedDiskError,
    MissingDriversError,
    MissingToolError,
    UnsupportedGuestError,
    NoKernelError,
    InitramfsError,
    GuestPackagesError,
    RegistryError,
    SourceLoginError,
    SourceConnectionError,
    GuestMemoryError,
    ApplianceError,
    DirtyFilesystemError,
    SourceDeniedError,
    SourceMissingError,
    DiskImageError,
    OvaUnreadableError,
    CopyFailedError,
)
"""The first that fits is taken: what is certain comes before what a word alone tells."""


def explain(errors: Sequence[str], exit_code: int) -> ConversionFailedError:
    """The failure in virt-v2v's own words, recognised if the catalogue knows it."""
    said = _cleaned("\n".join(errors))
    if not said:
        return ConversionFailedError(_how_it_ended(exit_code))
    found = next((kind for kind in CATALOGUE if re.search(kind.pattern, said, re.IGNORECASE)), None)
    return (found or ConversionFailedError)(said)


def _how_it_ended(exit_code: int) -> str:
    if exit_code < 0:
        return f"virt-v2v was ended by signal {-exit_code} and said nothing about it."
    return f"virt-v2v ended with exit code {exit_code} and said nothing about it."


def _cleaned(text: str) -> str:
    """The message without what virt-v2v adds to every failure, without control characters, cut to a bound."""
    message = text.split("\nIf reporting bugs", 1)[0]
    plain = "".join(" " if _is_control(char) else char for char in message)
    tidy = re.sub(r"\n{3,}", "\n\n", plain).strip()
    return tidy if len(tidy) <= LONGEST_DETAIL else tidy[: LONGEST_DETAIL - 1] + "…"


def _is_control(char: str) -> bool:
    return char != "\n" and unicodedata.category(char) in {"Cc", "Cs"}
