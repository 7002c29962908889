"""VMware's configuration files (`.vmx`, and `.vmsd` beside it): read into our words.

No specification of the format is public. What holds here is what VMware's products write, and what libvirt
and virt-v2v found out about it: `key = "value"` lines, keys in any case, `|22` for the character 0x22.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from uuid import UUID

from app.errors import InvalidSourceError
from app.formats import numbers
from app.models.vm import DiskMode, Firmware, PowerState, SourceDisk, SourceNic, VmConfig

LARGEST_BYTES: Final = 2**20
MIB: Final = 2**20
DEFAULT_CPU_COUNT: Final = 1
DEFAULT_MEMORY_BYTES: Final = 32 * MIB
"""What VMware takes for granted where a file says nothing."""
BUSES: Final = ("scsi", "sata", "ide", "nvme")
"""In the order in which the guest's disks are numbered; virt-v2v begins with SCSI, too."""
ENCODINGS: Final = frozenset(
    {"utf-8", "iso-8859-1", "shift_jis", "euc-jp", "gbk", "gb18030", "gb2312", "big5", "euc-kr"}
    | {f"windows-{number}" for number in (932, 936, 949, 950, *range(1250, 1259))}
)
LONGEST_LABEL: Final = 255

_LINE = re.compile(r"([^\s=#]+)\s*=\s*(?:\"(.*)\"|([^\"]*))\s*")
_ENCODING = re.compile(rb"^\s*\.encoding\s*=\s*\"?([\w-]{1,40})", re.IGNORECASE | re.MULTILINE)
_ESCAPES = re.compile(r"(?:\|[0-9A-Fa-f]{2})+")
_DISK = re.compile(rf"({'|'.join(BUSES)})([0-9]{{1,3}}):([0-9]{{1,3}})\.filename")
_NIC = re.compile(r"ethernet([0-9]{1,3})\.")
_PASSED_THROUGH = re.compile(r"(pcipassthru[0-9]{1,3})\.present")
_USB_DEVICE = re.compile(r"usb(?:_xhci)?\.autoconnect\.device[0-9]{1,3}")
_DELTA = re.compile(r"-[0-9]{6}\.vmdk", re.IGNORECASE)
"""How the file is called that a disk's changes go to after a snapshot."""
_VMDK_BEGINNINGS = (b"KDMV", b"COWD", b"# Disk DescriptorFile")
_MODES: Final = {
    "persistent": DiskMode.PERSISTENT,
    "independent-persistent": DiskMode.INDEPENDENT_PERSISTENT,
    "independent-nonpersistent": DiskMode.INDEPENDENT_NONPERSISTENT,
}


class Vmx:
    """The entries of a file. Of a key that comes twice the first counts, as for virt-v2v."""

    def __init__(self, data: bytes) -> None:
        """Raises InvalidSourceError."""
        if len(data) > LARGEST_BYTES:
            raise InvalidSourceError(f"The VMX has {len(data)} bytes; {LARGEST_BYTES} are the most.")
        if data.startswith(_VMDK_BEGINNINGS):
            raise InvalidSourceError("This is a disk image (VMDK), not a VM's configuration (VMX).")
        encoding = _encoding(data)
        self.entries: dict[str, str] = {}
        for line in _decoded(data, encoding).splitlines():
            found = _LINE.fullmatch(line.strip())
            if found is not None:
                value = found[2] if found[2] is not None else found[3].strip()
                self.entries.setdefault(found[1].lower(), _unescaped(value, encoding))
        if not self.entries:
            raise InvalidSourceError('This is no VMX: it has no line of the form `key = "value"`.')

    def text(self, key: str) -> str | None:
        """None where it is empty, too."""
        return self.entries.get(key.lower(), "").strip() or None

    def lower(self, key: str) -> str:
        return self.entries.get(key.lower(), "").strip().lower()

    def is_true(self, key: str) -> bool:
        return self.lower(key) == "true"

    def is_absent(self, device: str) -> bool:
        """Whether it is said to be switched off; what says nothing is there."""
        return self.lower(f"{device}.present") == "false"


def _encoding(data: bytes) -> str:
    found = _ENCODING.search(data)
    if found is None:
        return "utf-8"
    name = found[1].decode("ascii", "replace").lower()
    if name not in ENCODINGS:
        raise InvalidSourceError(f"The VMX is written in an unknown encoding, {name!r}.")
    return name.replace("windows-9", "cp9")


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidSourceError(f"The VMX is no text in its encoding, {encoding}.") from error


def _unescaped(value: str, encoding: str) -> str:
    text = _ESCAPES.sub(lambda found: _characters(found[0], encoding), value)
    if "\0" in text:
        raise InvalidSourceError("The VMX has a NUL in a value.")
    return text


def _characters(escapes: str, encoding: str) -> str:
    return bytes.fromhex(escapes.replace("|", "")).decode(encoding, "replace")


def read_vmx(data: bytes, *, name: str) -> VmConfig:
    """The VM, called `name` if it doesn't say how. CD-ROM and floppy drives are left out.

    A disk's `path` is as the file says it, so that it may be relative. Raises InvalidSourceError.
    """
    vmx = Vmx(data)
    disks = tuple(_disks(vmx))
    own_name = vmx.text("displayName") or name
    return VmConfig(
        id=_uuid(vmx) or own_name,
        name=own_name,
        state=PowerState.SUSPENDED if vmx.text("checkpoint.vmState") else PowerState.UNKNOWN,
        cpu_count=numbers.cpu_count(vmx.text("numvcpus")) or DEFAULT_CPU_COUNT,
        memory_bytes=numbers.size_bytes(vmx.text("memsize"), MIB, "The memory") or DEFAULT_MEMORY_BYTES,
        firmware=Firmware.UEFI if vmx.lower("firmware") == "efi" else Firmware.BIOS,
        os=vmx.text("guestOS"),
        description=vmx.text("annotation"),
        disks=disks,
        nics=tuple(_nics(vmx)),
        has_snapshots=True if any(_DELTA.search(disk.path or "") for disk in disks) else None,
        **_features(vmx.entries, vmx),
    )


def snapshot_count(data: bytes) -> int | None:
    """How many snapshots a VM has, by its `.vmsd`. Raises InvalidSourceError."""
    return numbers.whole_number(Vmx(data).text("snapshot.numSnapshots"), "The number of snapshots")


def _uuid(vmx: Vmx) -> str | None:
    """`56 4d aa … - … ff` as a UUID is written elsewhere."""
    digits = re.sub(r"[\s-]", "", vmx.lower("uuid.bios"))
    return str(UUID(digits)) if re.fullmatch("[0-9a-f]{32}", digits) else None


def _features(entries: Mapping[str, str], vmx: Vmx) -> dict[str, object]:
    version = vmx.text("virtualHW.version")
    return {
        "hardware_version": f"vmx-{version}" if version else None,
        "secure_boot": vmx.is_true("uefi.secureBoot.enabled"),
        "has_tpm": vmx.is_true("vtpm.present"),
        "is_encrypted": any(key.startswith("encryption.") and value for key, value in entries.items()),
        "cpu_hot_add": vmx.is_true("vcpu.hotadd"),
        "memory_hot_add": vmx.is_true("mem.hotadd"),
        "nested_virtualization": vmx.is_true("vhv.enable"),
        "has_cpu_affinity": vmx.lower("sched.cpu.affinity") not in {"", "all"},
        "passthrough_devices": tuple(_passed_through(vmx)),
        "usb_devices": tuple(value for key, value in entries.items() if _USB_DEVICE.fullmatch(key)),
    }


def _passed_through(vmx: Vmx) -> Iterator[str]:
    for key in vmx.entries:
        found = _PASSED_THROUGH.fullmatch(key)
        if found is not None and vmx.is_true(key):
            yield found[1]
        if key.endswith(".devicetype") and vmx.lower(key) == "scsi-passthru":
            yield key.removesuffix(".devicetype")


def _disks(vmx: Vmx) -> Iterator[SourceDisk]:
    found = [match for key in vmx.entries if (match := _DISK.fullmatch(key))]
    for match in sorted(found, key=lambda match: (BUSES.index(match[1]), int(match[2]), int(match[3]))):
        bus, controller, device = match[1], f"{match[1]}{match[2]}", f"{match[1]}{match[2]}:{match[3]}"
        if _is_disk(vmx, device) and not vmx.is_absent(controller) and not vmx.is_absent(device):
            yield _disk(vmx, bus, controller, device)


def _is_disk(vmx: Vmx, device: str) -> bool:
    path, kind = vmx.lower(f"{device}.fileName"), vmx.lower(f"{device}.deviceType")
    if kind.startswith(("cdrom", "atapi", "scsi-passthru")) or path in {
        "",
        "auto detect",
        "emptybackingstring",
    }:
        return False
    return bool(kind) or not path.endswith((".iso", ".flp"))


def _disk(vmx: Vmx, bus: str, controller: str, device: str) -> SourceDisk:
    path = vmx.text(f"{device}.fileName") or ""
    shared = vmx.lower(f"{controller}.sharedBus") not in {"", "none"}
    return SourceDisk(
        id=device,
        label=path.rpartition("/")[2][:LONGEST_LABEL] or device,
        capacity_bytes=None,
        format="vmdk",
        bus=bus,
        path=path,
        mode=_MODES.get(vmx.lower(f"{device}.mode")),
        is_shared=shared or vmx.lower(f"{device}.sharing") == "multi-writer",
        is_raw_device=vmx.lower(f"{device}.deviceType") == "rawdisk",
    )


def _nics(vmx: Vmx) -> Iterator[SourceNic]:
    numbers_found = {int(found[1]) for key in vmx.entries if (found := _NIC.match(key))}
    for number in sorted(numbers_found):
        device = f"ethernet{number}"
        if not vmx.is_absent(device):
            yield SourceNic(
                id=device,
                mac=_mac(vmx, device),
                network=_network(vmx, device),
                model=vmx.lower(f"{device}.virtualDev") or None,
            )


def _mac(vmx: Vmx, device: str) -> str | None:
    """A static address counts where there is one; virt-v2v's own reader knows the generated ones only."""
    static, generated = vmx.text(f"{device}.address"), vmx.text(f"{device}.generatedAddress")
    return (static or generated) if vmx.lower(f"{device}.addressType") == "static" else (generated or static)


def _network(vmx: Vmx, device: str) -> str | None:
    """The first that names one: a port group, a distributed switch's, a virtual network, a kind of it."""
    keys = ("networkName", "dvs.portgroupId", "vnet", "connectionType")
    return next((name for key in keys if (name := vmx.text(f"{device}.{key}"))), None)
