"""OVFs of several versions and makers, and such as nobody should write."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidSourceError
from app.formats.ovf import read_ovf
from app.models.vm import Firmware, SourceDisk, SourceNic, VmConfig
from tests.support.ovas import ovf, ovf_collection

DATA = Path(__file__).resolve().parent.parent / "data"
GIB = 2**30


def config(name: str) -> VmConfig:
    return read_ovf((DATA / name).read_bytes()).config


def changed(old: str, new: str, name: str = "vsphere.ovf") -> VmConfig:
    text = (DATA / name).read_text(encoding="utf-8")
    assert old in text
    return read_ovf(text.replace(old, new).encode()).config


def test_an_export_of_vsphere_is_read() -> None:
    assert config("vsphere.ovf") == VmConfig(
        id="vm-1",
        name="web-1",
        cpu_count=4,
        memory_bytes=8 * GIB,
        firmware=Firmware.UEFI,
        os="Debian GNU/Linux 10 (64-bit)",
        description="the shop's front door & bell",
        disks=(
            SourceDisk(
                id="vmdisk1",
                label="Hard Disk 1",
                capacity_bytes=16 * GIB,
                used_bytes=1288699904,
                bus="scsi",
                path="web-1-disk1.vmdk",
            ),
            SourceDisk(
                id="vmdisk2",
                label="Hard Disk 2",
                capacity_bytes=5 * GIB,
                bus="sata",
                path="web-1-disk2.vmdk.gz",
                compression="gzip",
            ),
        ),
        nics=(SourceNic(id="nic-1", mac=None, network="VM Network", model="VmxNet3"),),
        hardware_version="vmx-13",
        cpu_hot_add=False,
    )


def test_version_0_9_is_read() -> None:
    found = config("ovf-0.9.ovf")
    assert (found.id, found.name, found.cpu_count, found.memory_bytes) == ("old", "old", 1, 512 * 2**20)
    assert (found.os, found.description) == ("Red Hat Enterprise Linux 5", "from long ago")
    assert found.disks == (
        SourceDisk(
            id="disk1",
            label="Hard Disk 1",
            capacity_bytes=4 * GIB,
            used_bytes=None,
            bus="ide",
            path="old.vmdk",
        ),
    )
    assert found.nics == (SourceNic(id="nic-1", mac="00:0c:29:00:00:01", network=None),)


def test_version_2_0_is_read_whatever_its_prefixes() -> None:
    found = config("ovf-2.0.ovf")
    assert (found.cpu_count, found.memory_bytes, found.firmware) == (2, 3 * GIB, None)
    assert [(disk.id, disk.path, disk.capacity_bytes) for disk in found.disks] == [("d", "new.vmdk", None)]
    assert found.nics == (SourceNic(id="nic-1", mac="02:00:00:00:00:01", network="lan"),)


def test_an_os_without_a_description_is_named_by_its_type() -> None:
    assert changed("<Description>Debian GNU/Linux 10 (64-bit)</Description>", "").os == "debian10_64Guest"


def test_without_a_word_on_firmware_it_is_unknown() -> None:
    assert changed('vmw:key="firmware"', 'vmw:key="other"').firmware is None


def test_one_of_several_vms_is_chosen_by_its_id() -> None:
    contents = read_ovf(ovf_collection(["web", "db", "db"]))
    assert contents.config_of("web").disks[0].path == "disk1.vmdk"
    for vm_id in ("db", "other"):
        with pytest.raises(InvalidSourceError, match=r"'web', 'db', 'db'"):
            contents.config_of(vm_id)


def test_a_disk_at_an_nvme_controller_is_one_of_nvme() -> None:
    text = ovf().decode()
    controller = "<rasd:ResourceType>6</rasd:ResourceType>"
    nvme = "<rasd:ResourceSubType>vmware.nvme.controller</rasd:ResourceSubType>"
    found = read_ovf(text.replace(controller, f"<rasd:ResourceType>20</rasd:ResourceType>{nvme}").encode())
    assert [disk.bus for disk in found.config.disks] == ["nvme"]


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(InvalidSourceError, match="zstd"):
        changed('ovf:compression="gzip"', 'ovf:compression="zstd"')
    assert changed('ovf:compression="gzip"', 'ovf:compression="identity"').disks[1].compression is None


def test_what_is_not_told_is_unknown() -> None:
    found = changed("<rasd:ResourceType>3</rasd:ResourceType>", "<rasd:ResourceType>99</rasd:ResourceType>")
    assert found.cpu_count is None
    assert changed("<rasd:VirtualQuantity>8192</rasd:VirtualQuantity>", "").memory_bytes is None


def test_several_vms_are_all_told_and_none_is_the_only_one() -> None:
    contents = read_ovf(ovf_collection(["web", "db"]))
    assert [(found.id, found.disks[0].path) for found in contents.configs] == [
        ("web", "disk1.vmdk"),
        ("db", "disk2.vmdk"),
    ]
    with pytest.raises(InvalidSourceError, match="holds 2 VMs \\('web', 'db'\\)"):
        _ = contents.config


def test_names_may_be_odd() -> None:
    found = read_ovf(ovf(["a b'c$(d).vmdk"], name="-x $(reboot) &amp; &lt;y&gt;")).config
    assert (found.name, found.disks[0].path) == ("-x $(reboot) & <y>", "a b'c$(d).vmdk")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("ovf:/disk/vmdisk1", "ovf:/disk/nowhere", "Disk 1 refers to 'ovf:/disk/nowhere'"),
        ("ovf:/disk/vmdisk1", "ovf:/file/file1", "Disk 1 refers to 'ovf:/file/file1'"),
        ("<rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource>", "", "Disk 1 refers to ''"),
        ("ovf:/disk/vmdisk2", "ovf:/disk/vmdisk1", "Two disks of the VM refer to 'vmdisk1'"),
        ('ovf:capacity="16"', 'ovf:capacity="-16"', "The capacity is '-16'"),
        ('ovf:capacity="16"', 'ovf:capacity="9999999999999999999"', "too much"),
        ('capacityAllocationUnits="byte * 2^30"', 'capacityAllocationUnits="acre"', "unit 'acre'"),
        ("<rasd:VirtualQuantity>4<", "<rasd:VirtualQuantity>many<", "CPUs is 'many'"),
        ("<rasd:VirtualQuantity>8192<", "<rasd:VirtualQuantity>8192.5<", "The memory is '8192.5'"),
    ],
)
def test_what_makes_no_sense_is_told(old: str, new: str, told: str) -> None:
    with pytest.raises(InvalidSourceError) as raised:
        changed(old, new)
    assert told in raised.value.detail


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"<domain/>", "its root is <domain>"),
        (b"<" + b"x" * 1000 + b"/>", "not an OVF"),
        (b"<Envelope/>", "no virtual system"),
        (b"<Envelope><VirtualSystem/></Envelope>", "neither a name nor an id"),
        (b"not xml", "malformed"),
    ],
)
def test_what_is_no_ovf_is_told(data: bytes, told: str) -> None:
    with pytest.raises(InvalidSourceError, match=told):
        read_ovf(data)


def test_a_disk_without_a_file_has_no_path() -> None:
    assert changed('ovf:fileRef="file1"', "").disks[0].path is None


def test_a_label_is_no_book() -> None:
    assert len(changed("Hard Disk 1", "x" * 100_000).disks[0].label) == 255


TAGS = st.sampled_from(
    ["VirtualSystem", "Item", "Disk", "File", "ResourceType", "VirtualQuantity", "HostResource", "Config"]
)


@given(st.lists(st.tuples(TAGS, st.sampled_from(["", "3", "4", "10", "17", "-1", "x"])), max_size=20))
def test_any_nesting_is_read_or_refused(tags: list[tuple[str, str]]) -> None:
    opened = "".join(f'<{tag} id="i" diskId="d">{text}' for tag, text in tags)
    closed = "".join(f"</{tag}>" for tag, _ in reversed(tags))
    with contextlib.suppress(InvalidSourceError):
        read_ovf(f"<Envelope>{opened}{closed}</Envelope>".encode())
