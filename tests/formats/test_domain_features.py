"""What libvirt's XML tells beyond CPUs, memory, disks and NICs."""

from typing import Any

import pytest

from app.formats.domain_xml import read_domain_xml
from app.models.vm import VmConfig

CHIPSETS_WATCHDOG = "<watchdog model='itco' action='reset'/>"


SECURE_BOOT = "<os firmware='efi'><firmware><feature enabled='yes' name='secure-boot'/></firmware></os>"
FOLDERS = (
    "<filesystem type='mount'><target dir='share'/></filesystem>"
    "<filesystem><driver type='virtiofs'/><target dir='data'/></filesystem>"
)


def read(inside: str = "", devices: str = "") -> VmConfig:
    return read_domain_xml(f"<domain><name>a</name>{inside}<devices>{devices}</devices></domain>".encode())


def test_a_plain_domain_has_nothing_special() -> None:
    plain = read(
        "<vcpu>2</vcpu><os><type arch='x86_64'>hvm</type></os><cpu mode='host-model'/><clock offset='utc'/>",
        f"<interface type='network'><source network='lan'/><link state='up'/></interface>{CHIPSETS_WATCHDOG}",
    )
    assert plain.settings == {}
    assert plain.secure_boot is plain.has_tpm is plain.has_cpu_affinity is plain.cpu_hot_add is None
    assert plain.passthrough_devices == plain.usb_devices == ()


@pytest.mark.parametrize(
    ("inside", "told"),
    [
        ("<os><type arch='aarch64'>hvm</type></os>", {"architecture": "aarch64"}),
        ("<os><type arch='x86_64'>xen</type></os>", {"paravirtual": "true"}),
        (
            "<os><type>linux</type><kernel>/boot/k</kernel></os>",
            {"paravirtual": "true", "direct_kernel": "/boot/k"},
        ),
        ("<os><smbios mode='sysinfo'/></os>", {"smbios": "true"}),
        ("<launchSecurity type='sev'/>", {"launch_security": "sev"}),
        ("<memoryBacking><hugepages/></memoryBacking>", {"huge_pages": "true"}),
        ("<clock offset='localtime'/>", {"time_zone": "of its host"}),
        ("<clock offset='timezone' timezone='Europe/Oslo'/>", {"time_zone": "Europe/Oslo"}),
        ("<cpu mode='host-passthrough'/>", {"host_cpu": "host-passthrough"}),
        ("<cpu match='exact'><model fallback='forbid'>Haswell</model></cpu>", {"cpu_model": "Haswell"}),
        ("<cpu mode='host-model'><model>Haswell</model></cpu>", {}),
        ("<cpu mode='custom'><model>qemu64</model></cpu>", {}),
        ("<cpu mode='host-model'><numa><cell id='0'/></numa></cpu>", {"numa": "true"}),
        ("<numatune><memory nodeset='1'/></numatune>", {"numa": "true"}),
        ("<iothreads>4</iothreads>", {"io_threads": "4"}),
        ("<iothreads>0</iothreads>", {}),
    ],
)
def test_a_setting_of_the_vm_is_told(inside: str, told: dict[str, str]) -> None:
    assert read(inside).settings == told


def test_arguments_for_qemu_are_told_whatever_prefix_they_have() -> None:
    namespace = "http://libvirt.org/schemas/domain/qemu/1.0"
    text = (
        f"<domain xmlns:q='{namespace}'><name>a</name>"
        "<q:commandline><q:arg value='-device'/><q:arg value='edu'/></q:commandline></domain>"
    )
    assert read_domain_xml(text.encode()).settings == {"qemu_arguments": "-device edu"}


@pytest.mark.parametrize(
    ("devices", "told"),
    [
        ("<watchdog model='i6300esb'/>" + CHIPSETS_WATCHDOG, {"watchdog": "i6300esb"}),
        ("<sound model='ich9'/><sound model='ich9'/>", {"sound": "ich9"}),
        ("<smartcard mode='passthrough'/>", {"smartcard": "passthrough"}),
        ("<redirdev bus='usb'/><redirdev bus='usb'/>", {"usb_redirection": "usb"}),
        ("<shmem name='s'/>", {"shared_memory": "s"}),
        (FOLDERS, {"shared_folders": "share, data"}),
        ("<memory model='nvdimm'/><memory model='dimm'/>", {"persistent_memory": "nvdimm"}),
        ("<vsock model='virtio'/>", {"host_socket": "true"}),
        ("<disk><iotune><total_iops_sec>1</total_iops_sec></iotune></disk>", {"disk_limits": "true"}),
        (
            "<disk><serial>S1</serial></disk><disk/><disk><serial>S2</serial></disk>",
            {"disk_serials": "S1, S2"},
        ),
        (
            "<disk><source dev='/d'><reservations managed='yes'/></source></disk>",
            {"scsi_reservation": "true"},
        ),
        ("<interface><filterref filter='clean'/></interface>", {"network_filter": "clean"}),
        ("<interface><bandwidth><inbound average='1'/></bandwidth></interface>", {"network_limits": "true"}),
        (
            "<interface><mac address='52:54:00:00:00:01'/><link state='down'/></interface>",
            {"unplugged_nics": "52:54:00:00:00:01"},
        ),
    ],
)
def test_a_setting_of_a_device_is_told(devices: str, told: dict[str, str]) -> None:
    assert read(devices=devices).settings == told


PCI = "<address domain='0x0000' bus='0x3b' slot='0x00' function='0x1'/>"
USB = "<vendor id='0x0951'/><product id='0x1666'/>"


@pytest.mark.parametrize(
    ("hostdev", "passed", "usb"),
    [
        (f"<hostdev mode='subsystem' type='pci'><source>{PCI}</source></hostdev>", ("pci 0000:3b:00.1",), ()),
        (f"<hostdev type='usb'><source>{USB}</source></hostdev>", (), ("usb 0951:1666",)),
        ("<hostdev type='usb'><source><address bus='1' device='2'/></source></hostdev>", (), ("usb",)),
        ("<hostdev type='mdev'><source><address uuid='c2'/></source></hostdev>", ("mdev c2",), ()),
        (
            "<hostdev type='scsi'><source><adapter name='scsi_host0'/></source></hostdev>",
            ("scsi scsi_host0",),
            (),
        ),
        ("<hostdev mode='capabilities'/>", ("capabilities",), ()),
    ],
)
def test_devices_of_the_host_are_named(hostdev: str, passed: tuple[str, ...], usb: tuple[str, ...]) -> None:
    found = read(devices=hostdev)
    assert (found.passthrough_devices, found.usb_devices) == (passed, usb)


@pytest.mark.parametrize(
    ("inside", "devices", "field"),
    [
        (SECURE_BOOT, "", "secure_boot"),
        ("<os><loader secure='yes' type='pflash'>/OVMF</loader></os>", "", "secure_boot"),
        ("", "<tpm model='tpm-crb'><backend type='emulator'/></tpm>", "has_tpm"),
        ("<vcpu current='1'>4</vcpu>", "", "cpu_hot_add"),
        ("<maxMemory slots='16'>9</maxMemory>", "", "memory_hot_add"),
        ("<cpu><feature policy='require' name='vmx'/></cpu>", "", "nested_virtualization"),
        ("<vcpu cpuset='1-4'>4</vcpu>", "", "has_cpu_affinity"),
        ("<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>", "", "has_cpu_affinity"),
    ],
)
def test_a_feature_is_recognised(inside: str, devices: str, field: str) -> None:
    assert getattr(read(inside, devices), field) is True


@pytest.mark.parametrize(
    "inside",
    [
        "<os firmware='efi'><firmware><feature enabled='no' name='secure-boot'/></firmware></os>",
        "<os><loader secure='no' type='pflash'>/OVMF</loader></os>",
        "<cpu><feature policy='disable' name='vmx'/></cpu>",
        "<cputune><shares>1024</shares></cputune>",
    ],
)
def test_a_feature_that_is_off_is_none(inside: str) -> None:
    found = read(inside)
    wanted: dict[str, Any] = dict.fromkeys(("secure_boot", "nested_virtualization", "has_cpu_affinity"))
    assert {name: getattr(found, name) for name in wanted} == wanted


def test_long_values_are_cut() -> None:
    assert len(read(f"<launchSecurity type='{'x' * 999}'/>").settings["launch_security"]) == 200
