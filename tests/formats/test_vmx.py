"""VMX files as VMware's products write them, and as nobody should."""

from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidSourceError
from app.formats.vmx import read_vmx, snapshot_count
from app.models.vm import DiskMode, Firmware, PowerState, VmConfig

ESXI = (Path(__file__).parents[1] / "data" / "esxi.vmx").read_bytes()
MIB = 2**20


def read(*lines: str, encoding: str = "utf-8") -> VmConfig:
    return read_vmx("\n".join(lines).encode(encoding), name="file")


def disk_ids(*lines: str) -> list[str]:
    return [disk.id for disk in read(*lines).disks]


def test_a_file_of_esxi_is_read_whole() -> None:
    config = read_vmx(ESXI, name="file")
    assert (config.name, config.id) == ("web-1", "564d3c2e-8f1a-7d21-8c5b-001122334455")
    assert (config.cpu_count, config.memory_bytes) == (4, 4096 * MIB)
    assert (config.firmware, config.os) == (Firmware.UEFI, "debian12-64")
    assert config.description == 'Front end\nsecond line "quoted" ü'
    assert (config.hardware_version, config.secure_boot, config.has_tpm) == ("vmx-19", False, False)
    assert (config.cpu_hot_add, config.memory_hot_add, config.has_cpu_affinity) == (True, True, False)
    assert (config.is_encrypted, config.has_snapshots, config.state) == (False, None, PowerState.UNKNOWN)


def test_disks_come_in_the_order_of_their_controllers_and_drives_are_left_out() -> None:
    config = read_vmx(ESXI, name="file")
    assert [(disk.id, disk.path, disk.bus, disk.format) for disk in config.disks] == [
        ("scsi0:0", "web-1.vmdk", "scsi", "vmdk"),
        ("scsi0:1", "web-1_1.vmdk", "scsi", "vmdk"),
    ]


def test_a_static_address_counts_before_a_generated_one() -> None:
    config = read_vmx(ESXI, name="file")
    assert [(nic.id, nic.mac, nic.network, nic.model) for nic in config.nics] == [
        ("ethernet0", "00:50:56:aa:bb:01", "VM Network", "vmxnet3"),
        ("ethernet1", "00:50:56:3f:00:02", "DMZ", "e1000e"),
    ]


def test_buses_and_slots_are_numbers_not_words() -> None:
    devices = ["nvme0:0", "ide0:0", "sata0:2", "scsi1:0", "scsi0:10", "scsi0:9", "sata0:1"]
    lines = [f'{device}.fileName = "{device[0]}.vmdk"' for device in devices]
    assert disk_ids(*lines) == ["scsi0:9", "scsi0:10", "scsi1:0", "sata0:1", "sata0:2", "ide0:0", "nvme0:0"]


@pytest.mark.parametrize(
    "lines",
    [
        ('scsi0:0.present = "FALSE"', 'scsi0:0.fileName = "a.vmdk"'),
        ('scsi0.present = "false"', 'scsi0:0.fileName = "a.vmdk"'),
        ('ide1:0.deviceType = "cdrom-raw"', 'ide1:0.fileName = "auto detect"'),
        ('ide1:0.deviceType = "atapi-cdrom"', 'ide1:0.fileName = "a.iso"'),
        ('sata0:0.fileName = "a.iso"',),
        ('scsi0:0.deviceType = "scsi-hardDisk"', 'scsi0:0.fileName = ""'),
        ('floppy0.fileName = "a.flp"',),
    ],
)
def test_what_is_no_disk_is_none(lines: tuple[str, ...]) -> None:
    assert disk_ids('displayName = "a"', *lines) == []


def test_keys_have_any_case_and_the_first_of_two_counts() -> None:
    config = read('DISPLAYNAME = "one"', 'displayname = "two"', 'MemSize="8"', 'SCSI0:0.FILENAME = "a.vmdk"')
    assert (config.name, config.memory_bytes, config.disks[0].path) == ("one", 8 * MIB, "a.vmdk")


def test_comments_blank_lines_other_ends_and_missing_quotes_do_no_harm() -> None:
    text = '#!/usr/bin/vmware\r\n\r\n  # memsize = "1"\r\nnumvcpus = 2\r\nwhat is this\r\nmemsize = "64" \r\n'
    config = read_vmx(text.encode(), name="file")
    assert (config.name, config.cpu_count, config.memory_bytes) == ("file", 2, 64 * MIB)


def test_what_is_not_said_is_what_vmware_takes_for_granted() -> None:
    config = read('displayName = "a"')
    assert (config.cpu_count, config.memory_bytes, config.firmware) == (1, 32 * MIB, Firmware.BIOS)
    assert (config.id, config.disks, config.nics) == ("a", (), ())


@pytest.mark.parametrize("name", ['it\'s "x" = y', "a|b", "#1", "  ", "ünï"])
def test_any_character_may_be_in_a_name(name: str) -> None:
    escaped = name.replace("|", "|7C").replace('"', "|22").replace("#", "|23")
    assert read(f'displayName = "{escaped}"').name == (name if name.strip() else "file")


@pytest.mark.parametrize(("encoding", "codec"), [("windows-1252", "cp1252"), ("Shift_JIS", "shift_jis")])
def test_the_file_says_its_encoding(encoding: str, codec: str) -> None:
    name = "Grün" if codec == "cp1252" else "東京"
    assert read(f'.encoding = "{encoding}"', f'displayName = "{name}"', encoding=codec).name == name


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n# nothing\n",
        b"KDMV\1\0\0\0",
        b"# Disk DescriptorFile\nversion=1\n",
        b'displayName = "\xff\xfe"',
        b'.encoding = "rot13"\ndisplayName = "a"',
        b'displayName = "a|00b"',
        b'displayName = "a"\nmemsize = "-4"',
        b'displayName = "a"\nmemsize = "99999999999999999999"',
        b'displayName = "a"\nnumvcpus = "many"',
        b'a = "b"\n' * 2**18,
    ],
)
def test_what_is_no_vmx_is_told(data: bytes) -> None:
    with pytest.raises(InvalidSourceError):
        read_vmx(data, name="file")


def test_long_lines_are_read_quickly() -> None:
    assert read('displayName = "a"', "x" * 900_000, 'b = "' + "|" * 100_000 + '"').name == "a"


def test_how_a_disk_is_attached_is_told() -> None:
    (disk,) = read(
        'scsi0.sharedBus = "virtual"',
        'scsi0:0.fileName = "/vmfs/volumes/a b/x.vmdk"',
        'scsi0:0.mode = "independent-nonpersistent"',
        'scsi0:0.deviceType = "rawDisk"',
    ).disks
    assert (disk.label, disk.mode) == ("x.vmdk", DiskMode.INDEPENDENT_NONPERSISTENT)
    assert (disk.is_shared, disk.is_raw_device) == (True, True)


def test_a_disk_of_several_writers_is_shared() -> None:
    (disk,) = read('scsi0:0.fileName = "x.vmdk"', 'scsi0:0.sharing = "multi-writer"').disks
    assert disk.is_shared


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        ('firmware = "EFI"', {"firmware": Firmware.UEFI}),
        ('uefi.secureBoot.enabled = "TRUE"', {"secure_boot": True}),
        ('vtpm.present = "TRUE"', {"has_tpm": True}),
        ('encryption.keySafe = "vmware:key/list/…"', {"is_encrypted": True}),
        ('vhv.enable = "TRUE"', {"nested_virtualization": True}),
        ('sched.cpu.affinity = "0,1"', {"has_cpu_affinity": True}),
        ('pciPassthru0.present = "TRUE"', {"passthrough_devices": ("pcipassthru0",)}),
        ('scsi1:0.deviceType = "scsi-passthru"', {"passthrough_devices": ("scsi1:0",)}),
        ('usb.autoConnect.device0 = "0x0529:0x0001"', {"usb_devices": ("0x0529:0x0001",)}),
        ('checkpoint.vmState = "a-1234.vmss"', {"state": PowerState.SUSPENDED}),
        ('scsi0:0.fileName = "web-000002.vmdk"', {"has_snapshots": True}),
    ],
)
def test_what_concerns_look_at_is_read(line: str, facts: dict[str, Any]) -> None:
    config = read('displayName = "a"', line)
    assert {name: getattr(config, name) for name in facts} == facts


@pytest.mark.parametrize(
    ("lines", "network"),
    [
        (('ethernet0.networkName = ""', 'ethernet0.dvs.portgroupId = "dvportgroup-7"'), "dvportgroup-7"),
        (('ethernet0.connectionType = "custom"', 'ethernet0.vnet = "vmnet2"'), "vmnet2"),
        (('ethernet0.connectionType = "nat"',), "nat"),
        (('ethernet0.virtualDev = "e1000"',), None),
    ],
)
def test_a_nics_network_is_what_names_it_best(lines: tuple[str, ...], network: str | None) -> None:
    assert [nic.network for nic in read(*lines).nics] == [network]


def test_a_nic_that_is_switched_off_is_none() -> None:
    assert read('displayName = "a"', 'ethernet0.present = "FALSE"', 'ethernet0.vnet = "x"').nics == ()


def test_the_vmsd_counts_snapshots() -> None:
    assert snapshot_count(b'.encoding = "UTF-8"\nsnapshot.numSnapshots = "2"\n') == 2
    assert snapshot_count(b'.encoding = "UTF-8"\n') is None
