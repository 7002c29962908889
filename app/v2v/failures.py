"""The catalogue of virt-v2v's failures: its own words to the user, with a stable code and what to do."""

import re
from collections.abc import Sequence
from typing import ClassVar, Final

from app.errors import ConversionFailedError
from app.v2v.text import plain

LONGEST_DETAIL: Final = 2000
MOST_SEARCHED: Final = 16_000
"""A guest has a say in the errors, and some patterns take long on long lines."""
LEFT_OUT: Final = "\n…\n"


class KnownFailureError(ConversionFailedError):
    """A failure that is recognised by what virt-v2v (or a tool that it runs) said."""

    pattern: ClassVar[str]
    """A regular expression, searched for in all errors, case ignored."""


class ConversionKilledError(KnownFailureError):
    code, title = "conversion_killed", "The conversion or copy was ended by a signal"
    hint = (
        "The proxy host may have been shut down, or another user may have ended it; its kernel log tells "
        "whether its memory ran out."
    )
    goes_away = True
    pattern = r"exiting on signal sig"


# --- what is in the guest --------------------------------------------------------------------------------


class NoOsFoundError(KnownFailureError):
    code, title = "no_os_found", "No operating system was found on the disks"
    hint = "Check that the system disk is among the VM's disks, is whole, and holds a supported guest."
    pattern = r"inspection could not detect the source guest|no root device found in this operating system"


class MultiBootError(KnownFailureError):
    code, title = "multi_boot", "The VM holds several operating systems"
    hint = "Name the one to convert in `conversion.root`, for example `/dev/sda2`, or `first`."
    pattern = r"multi-?boot operating systems? (are|is) not supported"


class RootNotFoundError(KnownFailureError):
    code, title = "root_not_found", "The device in `conversion.root` holds no operating system"
    hint = "The detail names the devices that do; give one of them, or `first`."
    pattern = r"root device .* not found\.\s+roots found"


class UnsupportedGuestError(KnownFailureError):
    code, title = "unsupported_guest", "virt-v2v can't convert this operating system"
    hint = "A newer virt-v2v on the proxy host may know it; see virt-v2v-support(1)."
    pattern = (
        r"unable to convert this guest type|guest type .* is not supported|not an installed operating system"
    )


class GuestNoSpaceError(KnownFailureError):
    code, title = "guest_no_space", "A file system in the guest has too little free space"
    hint = "Free 100 MB on `/` or `C:`, 50 MB on `/boot` and 10 MB elsewhere in the VM, then retry."
    pattern = r"not enough free space for conversion on filesystem|not enough available inodes for conversion"


class FilesystemUncleanError(KnownFailureError):
    code, title = "filesystem_unclean", "A file system of the guest is damaged or was not cleanly unmounted"
    hint = (
        "Start the VM, let it check its file systems, shut it down wholly (Windows: without Fast Startup), "
        "then retry."
    )
    pattern = (
        r"filesystem was mounted read-only|could not write to the guest filesystem|"
        r"detected errors on the xfs filesystem|e2fsck|xfs_repair|btrfs_scrub|structure needs cleaning"
    )


class HibernatedWindowsError(KnownFailureError):
    code, title = "hibernated_windows", "Windows was hibernated or shut down with Fast Startup"
    hint = "Start the VM, disable Fast Startup, shut Windows down wholly (`shutdown /s /t 0`), then retry."
    pattern = r"windows hibernation|fast (restart|startup)|ntfs partition is in an unsafe state|hibernated"


class EncryptedDiskError(KnownFailureError):
    code, title = "encrypted_disk", "A disk is encrypted and no key opens it"
    hint = "Give the passphrases in `conversion.luks_keys`, or decrypt the disk first."
    pattern = r"could not find key to open|could not read key from user|bitlocker|cryptsetup|luks_open"


class NoKernelError(KnownFailureError):
    code, title = "no_kernel", "The guest has no kernel or boot loader that can be converted"
    hint = "Install one of the distribution's own kernels and a boot loader in the VM, then retry."
    pattern = r"no installed kernel|no kernels? (was|were) found|no bootloader|could not find bootloader"


class GuestPackagesError(KnownFailureError):
    code, title = "guest_packages_broken", "The guest's package database can't be read"
    hint = "Repair it in the VM (`rpm --rebuilddb`, `dpkg --configure -a`), then retry."
    pattern = r"inspection of the package database failed|rpm ?db|rpm database|no applications returned|dpkg"


class InitramfsError(KnownFailureError):
    code, title = "initramfs_failed", "The guest's initramfs could not be rebuilt"
    hint = "Read the log: the guest's own tool (dracut, update-initramfs) says why."
    pattern = r"initramfs|initrd|dracut"


class RegistryError(KnownFailureError):
    code, title = "windows_registry_unreadable", "The registry of this Windows can't be read"
    hint = "Start the VM once and shut it down cleanly, then retry."
    pattern = r"hivex|registry hive|could not find registry key"


# --- what is on the proxy host ---------------------------------------------------------------------------


class HostNoSpaceError(KnownFailureError):
    code, title = "host_no_space", "The proxy host or the storage has too little free space"
    hint = "Free space in the proxy host's `work_dir` and on the storage domain, then retry."
    pattern = r"insufficient free space in the conversion server|no space left on device|disk quota exceeded"


class MissingDriversError(KnownFailureError):
    code, title = "missing_drivers", "The drivers for this Windows are not on the proxy host"
    hint = "Install the virtio-win package on the proxy host, or point VIRTIO_WIN at it."
    pattern = r"no virtio drivers available|virtio-win (iso|directory)"


class MissingToolError(KnownFailureError):
    code, title = "missing_tool", "A program that virt-v2v needs is not on the proxy host"
    hint = "Install what the detail names; for Windows guests that is rhsrvany.exe or pvvxsvc.exe."
    pattern = (
        r"rhsrvany|pvvxsvc|is not installed or not working|command not found|executable .* not found|"
        r"program is not available|cannot find firmware for uefi|option requires nbdcopy"
    )


class HostApplianceError(KnownFailureError):
    code, title = "host_appliance_failed", "libguestfs could not run its appliance on the proxy host"
    hint = "Run `libguestfs-test-tool` on the proxy host; its last lines say what is wrong."
    pattern = (
        r"guestfs_launch failed|appliance closed the connection|supermin|child process died unexpectedly|"
        r"could not access kvm|failed to create guestfs handle"
    )


class HostMemoryError(KnownFailureError):
    code, title = "host_out_of_memory", "The proxy host has too little memory for the conversion"
    hint = "A conversion needs about 2 GiB; lower `max_concurrent_imports` of the proxy host."
    pattern = r"cannot allocate memory|could not allocate|out of memory"


class OptionRefusedError(KnownFailureError):
    code, title = "option_refused", "The proxy host's virt-v2v refused an option"
    hint = (
        "Check the proxy host, so that its virt-v2v is probed anew; use another version if that is no help."
    )
    pattern = (
        r"virt-v2v: (unrecognized|invalid|ambiguous) option|virt-v2v: option '.*' (requires|doesn't allow)|"
        r"unknown (-[io]|output) option|cannot parse --|selector '.*': "
    )


class NotStartedError(KnownFailureError):
    code, title = "virt_v2v_not_started", "virt-v2v could not be started on the proxy host"
    hint = "Check `virt_v2v_path` of the proxy host, and that the program runs there by hand."
    pattern = r"could not be started: "


# --- what is at the source and at the target -------------------------------------------------------------


class SourceRunningError(KnownFailureError):
    code, title = "source_running", "The source VM is running or paused"
    hint = "Shut the VM down, then retry."
    pattern = r"is running or paused"


class SourceLoginError(KnownFailureError):
    code, title = "source_login_failed", "The source refused the user name or password"
    hint = "Check the credentials; the service doesn't try again by itself, for accounts get locked."
    pattern = (
        r"authentication (failed|methods failed)|login (failed|failure|incorrect)|401 unauthorized|"
        r"incorrect user ?name or password|permission denied \((publickey|password|keyboard|gssapi)"
    )


class SourceCertificateError(KnownFailureError):
    code, title = "source_certificate_untrusted", "The proxy host doesn't trust the source's certificate"
    hint = "Give its CA in the provider's `tls.ca_pem`, or add the CA to those that the proxy host trusts."
    pattern = r"ssl peer certificate or ssh remote key was not ok|certificate verif(y|ication) failed"


class TlsTrustError(KnownFailureError):
    code, title = "tls_trust_failed", "The provider's certificates can't be trusted on this proxy host"
    hint = (
        "virt-v2v is given them by mounts of its own: connect to the proxy host as root or with `sudo`, "
        "or add the CA to those that the host trusts and leave `tls.ca_pem` and `tls.thumbprint` out."
    )
    pattern = r"certificates can't be trusted alone"


class SshLoginError(KnownFailureError):
    code, title = "ssh_login_failed", "The login to the source's host can't be handed to virt-v2v"
    hint = (
        "virt-v2v is given it by mounts of its own: connect to the proxy host as root or with `sudo`, or "
        "read the disks by another transport."
    )
    pattern = r"login to the vm's host can't be had alone"


class SourceHostKeyError(KnownFailureError):
    code, title = "source_host_key_mismatch", "The source shows another SSH host key than the accepted one"
    hint = "If the host was reinstalled, accept its new key at the provider; else beware."
    pattern = r"shows another host key than the accepted one|host key verification failed"


class SourceNameError(KnownFailureError):
    code, title = "source_name_unknown", "The source's name can't be resolved"
    hint = "Check the name, and that the proxy host's DNS knows it."
    pattern = r"name or service not known|could not resolve host"


class SourceConnectionError(KnownFailureError):
    code, title = "source_unreachable", "The connection to the source failed"
    hint = "Check that the proxy host reaches the source, then retry."
    goes_away = True
    pattern = (
        r"connection (was )?(refused|reset|aborted|timed out|timeout)|operation timed out|"
        r"timeout was reached|timeout connecting|could(n't| not) connect|failed to connect|no route to host|"
        r"host is down|(network|host) is unreachable|broken pipe|closed by remote host|keepalive timeout|"
        r"temporary failure in name resolution"
    )


class SourceBusyError(KnownFailureError):
    code, title = "source_busy", "The source, or the proxy host, had too much to do"
    hint = "Retry when there is less to do, or lower `max_concurrent_imports`."
    goes_away = True
    pattern = (
        r"503 service unavailable|(error|code|status):? 503\b|temporarily unavailable|"
        r"too many (open )?(connections|sessions)"
    )


class SourceMountError(KnownFailureError):
    code, title = "source_mount_failed", "The export or device of the source could not be mounted for the job"
    hint = "It could be read when the import began: look whether the server still answers, then retry."
    goes_away = True
    pattern = r"the source could not be mounted: "


class ChecksumMismatchError(KnownFailureError):
    code, title = "checksum_mismatch", "A file of the OVA is not what its manifest says"
    hint = "It was damaged on its way, or changed since the export: copy or export it anew."
    pattern = r"checksum of .* does not match"


class UnpacksTooLargeError(KnownFailureError):
    code, title = "unpacks_too_large", "A compressed disk is larger than what it is said to hold"
    hint = "Such a file may be made to fill the proxy host's disk. Unpack it by hand if it is to be trusted."
    pattern = r"unpacks to more than \d+ bytes"


class OvaUnreadableError(KnownFailureError):
    code, title = "ova_unreadable", "virt-v2v can't read the OVA"
    hint = "Check the archive: one `.ovf`, its disks, and a manifest whose checksums fit."
    pattern = (
        r"(corrupt|invalid) ova\b|-i ova: |error unpacking|problem while extracting|from ovf document|"
        r"error parsing disk fileref|no href in ovf:file"
    )


class TargetUnusableError(KnownFailureError):
    code, title = "target_unusable", "virt-v2v can't write to the storage domain"
    hint = "Check the storage domain; what it holds may have been moved or unmounted."
    pattern = r"directory (\(.*\) )?does not exist or is not a directory|read-only file system"


class DeniedError(KnownFailureError):
    code, title = "source_permission_denied", "virt-v2v may not read the source, or not write to the target"
    hint = "Check owner, mode and SELinux context of the files for the user that virt-v2v runs as."
    pattern = r"permission denied|operation not permitted|access denied"


class SourceVanishedError(KnownFailureError):
    code, title = "source_vanished", "virt-v2v did not find the source's VM or disk"
    hint = "It was moved or removed after the import had looked at it."
    pattern = (
        r"no such file or directory|there is no '.*' on the proxy host|cannot find libvirt domain|"
        r"could not find (datacenter|compute resource|host system)"
    )


class SourceChangedError(KnownFailureError):
    code, title = "source_changed", "A disk image is another one than when the import began"
    hint = "Leave the source alone while it is imported, then retry."
    pattern = r"has become another image since the import began"


class DiskImageError(KnownFailureError):
    code, title = "disk_image_unreadable", "A disk image can't be read"
    hint = "Check it with `qemu-img check`; it may be damaged or of another format."
    pattern = (
        r"could not open|image is corrupt|not in .* format|input/output error|unexpected end of file|"
        r"unsupported file format|not an exact multiple of 512 bytes"
    )


class CopyFailedError(KnownFailureError):
    code, title = "copy_failed", "A disk could not be copied"
    hint = "Read the log: nbdcopy or nbdkit says why."
    pattern = r"nbdcopy|nbdkit|qemu-nbd|qemu-img"


class VirtV2vBugError(KnownFailureError):
    code, title = "virt_v2v_broken", "virt-v2v met an error inside itself"
    hint = "Update virt-v2v on the proxy host; if that is no help, report it with the import's bundle."
    pattern = r"internal error|fatal error: exception|assertion failed"


CATALOGUE: Final[tuple[type[KnownFailureError], ...]] = (
    ConversionKilledError,
    NoOsFoundError,
    MultiBootError,
    RootNotFoundError,
    UnsupportedGuestError,
    GuestNoSpaceError,
    FilesystemUncleanError,
    HibernatedWindowsError,
    EncryptedDiskError,
    NoKernelError,
    GuestPackagesError,
    MissingDriversError,
    MissingToolError,
    OptionRefusedError,
    NotStartedError,
    SourceMountError,
    SourceRunningError,
    SourceLoginError,
    TlsTrustError,
    SshLoginError,
    SourceCertificateError,
    SourceHostKeyError,
    SourceChangedError,
    ChecksumMismatchError,
    UnpacksTooLargeError,
    HostNoSpaceError,
    OvaUnreadableError,
    HostMemoryError,
    HostApplianceError,
    InitramfsError,
    RegistryError,
    SourceNameError,
    TargetUnusableError,
    DeniedError,
    SourceConnectionError,
    SourceBusyError,
    SourceVanishedError,
    DiskImageError,
    CopyFailedError,
    VirtV2vBugError,
)
"""The first that fits is taken: what virt-v2v says for certain comes before what a word alone tells, and what
stays as it is comes before what can go away by itself.
"""


def explain(errors: Sequence[str], exit_code: int) -> ConversionFailedError:
    """The failure in virt-v2v's own words, recognised if the catalogue knows it."""
    said = _cut("\n".join(filter(None, map(_cleaned, errors))), MOST_SEARCHED)
    if not said:
        return _ended(exit_code)
    found = next((kind for kind in CATALOGUE if re.search(kind.pattern, said, re.IGNORECASE)), None)
    return (found or ConversionFailedError)(_cut(said, LONGEST_DETAIL))


def _ended(exit_code: int) -> ConversionFailedError:
    if exit_code < 0:
        return ConversionKilledError(f"virt-v2v was ended by signal {-exit_code} and said nothing about it.")
    return ConversionFailedError(f"virt-v2v ended with exit code {exit_code} and said nothing about it.")


def _cleaned(error: str) -> str:
    """The message without what virt-v2v adds to every failure, and fit to be shown."""
    message = plain(error.split("\nIf reporting bugs", 1)[0])
    return re.sub(r"\n{3,}", "\n\n", message).strip()


def _cut(text: str, longest: int) -> str:
    """Both ends of a long text: the cause is told first, virt-v2v's own verdict last."""
    if len(text) <= longest:
        return text
    half = (longest - len(LEFT_OUT)) // 2
    return text[:half] + LEFT_OUT + text[-half:]
