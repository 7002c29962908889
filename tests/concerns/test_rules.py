"""Each rule finds what it is about, and nothing in a VM that is as it should be."""

from typing import Any

import pytest

from app.concerns import RULES, assess
from app.concerns.libvirt import LIBVIRT
from app.concerns.rule import Rule
from app.concerns.settings import SETTINGS
from app.concerns.vsphere import VSPHERE
from app.formats.ovirt_features import DEVICES, FLAGS, TEXTS
from app.models.vm import (
    ConcernSeverity,
    DiskFault,
    DiskMode,
    Firmware,
    PowerState,
    SourceDisk,
    SourceNic,
    VmConfig,
)

DISK = SourceDisk(id="vda", label="root", capacity_bytes=2**30, path="/srv/a.qcow2")
SAID = {
    *FLAGS.values(),
    *(name for name, _ in TEXTS.values()),
    *DEVICES.values(),
    *("usb_redirection", "unplugged_nics", "nic_properties", "numa", "scsi_reservation"),
    *("is_template", "consolidation_needed", "fault_tolerance", "io_filters", "managed_by", "npiv"),
    *("virtualization_based_security", "change_tracking", "replication", "latency_sensitivity"),
    *("resource_limits", "cpu_mask", "disk_uuid", "parallel_port", "distributed_nics"),
    *("architecture", "direct_kernel", "transient", "managed_save", "autostart", "shared_folders"),
    *("shared_memory", "persistent_memory", "qemu_arguments", "launch_security", "smbios", "checkpoints"),
    *("disk_limits", "disk_serials", "network_filter", "network_limits", "huge_pages", "host_socket"),
    "paravirtual",
}
"""The settings that readers of OVFs and libvirt's domains, and the program for vSphere, tell."""
OF_SETTINGS = (*SETTINGS, *LIBVIRT, *VSPHERE)
NIC = SourceNic(id="nic-1", mac="52:54:00:00:00:01", network="lan")
SOUND = VmConfig(
    id="web",
    name="web",
    state=PowerState.DOWN,
    cpu_count=1,
    memory_bytes=2**30,
    firmware=Firmware.BIOS,
    disks=(DISK,),
    nics=(NIC,),
)


def found(**other: Any) -> list[tuple[str, ConcernSeverity, str | None]]:
    concerns = assess(SOUND.model_copy(update=other))
    return [(one.code, one.severity, one.disk_id or one.nic_id) for one in concerns]


def disk(**other: Any) -> dict[str, Any]:
    """The VM's only disk, with something else about it."""
    return {"disks": (DISK.model_copy(update=other),)}


def test_a_vm_that_is_as_it_should_be_gives_no_concern() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("other", "code", "severity", "about"),
    [
        ({"state": PowerState.UP}, "vm_running", ConcernSeverity.CRITICAL, None),
        ({"state": PowerState.SUSPENDED}, "vm_running", ConcernSeverity.CRITICAL, None),
        ({"disks": ()}, "no_disks", ConcernSeverity.CRITICAL, None),
        (
            {"disks": (DISK, DISK.model_copy(update={"id": "vdb", "path": None}))},
            "disk_unreadable",
            ConcernSeverity.CRITICAL,
            "vdb",
        ),
        ({"has_snapshots": True}, "snapshots_present", ConcernSeverity.WARNING, None),
        (
            {"nics": (NIC, SourceNic(id="nic-2", mac="52:54:00:00:00:02", network=None))},
            "nic_without_network",
            ConcernSeverity.WARNING,
            "nic-2",
        ),
        ({"firmware": Firmware.UEFI}, "uefi_variables_lost", ConcernSeverity.WARNING, None),
        ({"is_encrypted": True}, "vm_encrypted", ConcernSeverity.CRITICAL, None),
        ({"has_tpm": True}, "tpm_content_lost", ConcernSeverity.WARNING, None),
        ({"secure_boot": True}, "secure_boot_off", ConcernSeverity.WARNING, None),
        (disk(is_raw_device=True), "disk_raw_device", ConcernSeverity.WARNING, "vda"),
        (disk(is_shared=True), "disk_shared", ConcernSeverity.WARNING, "vda"),
        (
            disk(mode=DiskMode.INDEPENDENT_NONPERSISTENT),
            "disk_nonpersistent",
            ConcernSeverity.WARNING,
            "vda",
        ),
        (disk(mode=DiskMode.INDEPENDENT_PERSISTENT), "disk_independent", ConcernSeverity.INFO, "vda"),
        (disk(bus="nvme"), "disk_nvme", ConcernSeverity.INFO, "vda"),
        (disk(fault=DiskFault.ILLEGAL), "disk_illegal", ConcernSeverity.CRITICAL, "vda"),
        (disk(fault=DiskFault.ELSEWHERE, path=None), "disk_elsewhere", ConcernSeverity.CRITICAL, "vda"),
        (disk(fault=DiskFault.OUTDATED), "disk_outdated", ConcernSeverity.WARNING, "vda"),
        (disk(fault=DiskFault.NETWORK, path=None), "disk_network", ConcernSeverity.CRITICAL, "vda"),
        (
            disk(fault=DiskFault.VOLUME_MISSING, path=None),
            "disk_volume_missing",
            ConcernSeverity.CRITICAL,
            "vda",
        ),
        (disk(fault=DiskFault.ENCRYPTED), "disk_encrypted", ConcernSeverity.CRITICAL, "vda"),
        (
            {**disk(bus="ide"), "hardware_version": "engine-4.5"},
            "disk_emulated_bus",
            ConcernSeverity.INFO,
            "vda",
        ),
        (
            {"nics": (NIC.model_copy(update={"model": "passthrough"}),)},
            "nic_passthrough",
            ConcernSeverity.WARNING,
            "nic-1",
        ),
        ({"passthrough_devices": ("gpu0",)}, "passthrough_device", ConcernSeverity.WARNING, None),
        ({"usb_devices": ("key",)}, "usb_device", ConcernSeverity.WARNING, None),
        ({"hardware_version": "vmx-3"}, "hardware_version_unknown", ConcernSeverity.WARNING, None),
        ({"hardware_version": "acme-1"}, "hardware_version_unknown", ConcernSeverity.WARNING, None),
        ({"cpu_hot_add": True}, "hot_add", ConcernSeverity.INFO, None),
        ({"memory_hot_add": True}, "hot_add", ConcernSeverity.INFO, None),
        ({"nested_virtualization": True}, "nested_virtualization", ConcernSeverity.INFO, None),
        ({"has_cpu_affinity": True}, "cpu_affinity", ConcernSeverity.INFO, None),
        (
            {"nics": (NIC.model_copy(update={"mac": None}),)},
            "nic_without_mac",
            ConcernSeverity.INFO,
            "nic-1",
        ),
        ({"nics": ()}, "no_nics", ConcernSeverity.INFO, None),
        ({"memory_bytes": None}, "resources_unknown", ConcernSeverity.INFO, None),
        ({"cpu_count": None}, "resources_unknown", ConcernSeverity.INFO, None),
    ],
)
def test_a_rule_finds_what_it_is_about(
    other: dict[str, Any], code: str, severity: ConcernSeverity, about: str | None
) -> None:
    assert found(**other) == [(code, severity, about)]


@pytest.mark.parametrize("rule", OF_SETTINGS)
def test_a_setting_is_told_with_its_value_whatever_that_holds(rule: Rule) -> None:
    names = ("attached_domain", *sorted(SAID))
    value = "{0} {x} <b>"
    [concern] = [
        concern
        for name in names
        for concern in rule.concerns(SOUND.model_copy(update={"settings": {name: value}}))
    ]
    assert (concern.code, concern.severity) == (rule.code, rule.severity)
    assert concern.message.endswith(".")


def test_every_setting_that_is_read_has_a_rule() -> None:
    config = SOUND.model_copy(update={"settings": dict.fromkeys(SAID, "x")})
    assert len([rule for rule in OF_SETTINGS if list(rule.concerns(config))]) == len(SAID)


@pytest.mark.parametrize(
    "other",
    [
        {"state": PowerState.UNKNOWN},
        {"has_snapshots": None},
        {"firmware": None},
        {"hardware_version": "vmx-19"},
        {"hardware_version": "virtualbox-2.2"},
        disk(mode=DiskMode.PERSISTENT, is_shared=False, is_raw_device=False),
    ],
)
def test_what_is_unknown_is_no_concern(other: dict[str, Any]) -> None:
    assert found(**other) == []


def test_several_concerns_come_gravest_first() -> None:
    severities = [severity for _, severity, _ in found(disks=(), nics=(), has_snapshots=True)]
    assert severities == [ConcernSeverity.CRITICAL, ConcernSeverity.WARNING, ConcernSeverity.INFO]


def test_each_disk_and_nic_is_named_by_itself() -> None:
    disks = tuple(SourceDisk(id=name, label=name, capacity_bytes=None) for name in ("vda", "vdb"))
    assert [about for _, _, about in found(disks=disks)] == ["vda", "vdb"]


def test_every_code_is_its_own_and_says_what_to_do() -> None:
    codes = [rule.code for rule in RULES]
    assert len(set(codes)) == len(codes)
    assert all(rule.title and rule.hint.endswith(".") for rule in RULES)
