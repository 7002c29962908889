"""What is known of a source VM, in our words: every source maps its objects to `VmConfig` at the door."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Firmware(StrEnum):
    BIOS = "bios"
    UEFI = "uefi"


class PowerState(StrEnum):
    UP = "up"
    DOWN = "down"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"


class ConcernSeverity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Concern(_Frozen):
    """A coded finding about a source VM; a critical one refuses the import unless it is accepted."""

    code: str
    severity: ConcernSeverity
    message: str
    disk_id: str | None = None
    nic_id: str | None = None


class DiskMode(StrEnum):
    """VMware's words: an independent disk is left out of snapshots, a nonpersistent one forgets."""

    PERSISTENT = "persistent"
    INDEPENDENT_PERSISTENT = "independent_persistent"
    INDEPENDENT_NONPERSISTENT = "independent_nonpersistent"


class ImageFile(_Frozen):
    """An image on the proxy host, and the format that it is opened by."""

    path: str
    format: str


class DiskFault(StrEnum):
    """Why a disk is not to be imported as it lies there."""

    ILLEGAL = "illegal"
    """Its storage calls it so: a copy or a merge was not finished."""
    OUTDATED = "outdated"
    """Something newer stands on it."""
    ELSEWHERE = "elsewhere"
    """It is on no storage of its VM's: a LUN, or a volume of another service."""
    NETWORK = "network"
    """Its hypervisor reads it over the network (RBD, iSCSI, …)."""
    VOLUME_MISSING = "volume_missing"
    """It is a volume of a storage pool that doesn't have it, or isn't there."""
    ENCRYPTED = "encrypted"
    """Its hypervisor encrypts it, with a key of its own."""


class SourceDisk(_Frozen):
    """A disk of a source VM. `id` names it in `disks[].source_disk_id` of an import; `path` is its file."""

    id: str
    label: str
    capacity_bytes: int | None
    used_bytes: int | None = None
    format: str | None = None
    bus: str | None = None
    path: str | None = None
    file_bytes: int | None = None
    """The size of its file."""
    chain: tuple[ImageFile, ...] = ()
    """The images that its file stands on, the nearest first."""
    compression: str | None = None
    """How its file is packed: `gzip`."""
    checksum: str | None = None
    """What its file is to hold, where somebody wrote that down: `sha256:…`."""
    mode: DiskMode | None = None
    is_shared: bool | None = None
    """Whether other VMs may write to it, too: a shared bus, or `multi-writer`."""
    is_raw_device: bool | None = None
    """Raw device mapping (RDM): the VM's disk is a LUN or a device of its host."""
    fault: DiskFault | None = None


class SourceNic(_Frozen):
    id: str
    mac: str | None
    network: str | None
    model: str | None = None


class GuestFilesystem(_Frozen):
    """A file system that the guest mounts; its sizes are null when nobody can mount it."""

    mount_point: str
    device: str
    type: str | None = None
    size_bytes: int | None
    free_bytes: int | None


class Guest(_Frozen):
    """What a look into the guest found; names are libguestfs's."""

    type: str | None
    """`linux`, `windows`, …; null: there is no operating system on the disks."""
    distro: str | None = None
    name: str | None = None
    """As the system calls itself."""
    version: str | None = None
    architecture: str | None = None
    package_format: str | None = None
    firmware: Firmware | None = None
    """What the disks boot by."""
    root_count: int = 1
    filesystems: tuple[GuestFilesystem, ...] = ()
    kernels: tuple[str, ...] = ()
    has_virtio: bool | None = None
    """Whether it has virtio drivers for its disks."""
    unstable_devices: tuple[str, ...] = ()
    """Devices that /etc/fstab names by where they are attached."""
    host_has_virtio_win: bool | None = None
    """Whether the proxy host has virtio drivers for Windows."""
    virt_v2v_version: str | None = None
    """The proxy host's."""


class VmConfig(_Frozen):
    """The configuration of one source VM (page step 5), disks and NICs in the order the guest sees them."""

    id: str
    name: str
    state: PowerState = PowerState.UNKNOWN
    cpu_count: int | None = None
    memory_bytes: int | None = None
    firmware: Firmware | None = None
    os: str | None = None
    description: str | None = None
    disks: tuple[SourceDisk, ...] = ()
    nics: tuple[SourceNic, ...] = ()
    has_snapshots: bool | None = None
    hardware_version: str | None = None
    """The virtual hardware's family and version: `vmx-19`."""
    secure_boot: bool | None = None
    has_tpm: bool | None = None
    is_encrypted: bool | None = None
    cpu_hot_add: bool | None = None
    memory_hot_add: bool | None = None
    nested_virtualization: bool | None = None
    has_cpu_affinity: bool | None = None
    passthrough_devices: tuple[str, ...] = ()
    """The host's own devices that the VM was given (PCI, SCSI), by their names in its configuration."""
    usb_devices: tuple[str, ...] = ()
    settings: dict[str, str] = Field(default_factory=dict)
    """What else it is set to at its source, and will not be after the import: `watchdog`: `i6300esb`."""
    unreadable: str | None = None
    """Why the source can't tell all of it, as a sentence."""
    guest: Guest | None = None
    """Where somebody has looked into it (a deep scan)."""
    origin: dict[str, str] = Field(default_factory=dict)
    """What leads to it at its provider, in the words of the provider's kind; nothing that is to be shown."""
    concerns: tuple[Concern, ...] = ()

    @property
    def capacity_bytes(self) -> int | None:
        """The disks' virtual sizes together, or None when one is unknown."""
        sizes = [disk.capacity_bytes for disk in self.disks]
        return None if any(size is None for size in sizes) else sum(size or 0 for size in sizes)
