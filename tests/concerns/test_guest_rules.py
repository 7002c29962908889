"""Rules about what is in the guest; without a look into it they say nothing."""

from typing import Any

import pytest

from app.concerns import assess
from app.concerns.guest import GUEST
from app.models.vm import Firmware, Guest, GuestFilesystem, VmConfig

MIB = 2**20
CODES = {rule.code for rule in GUEST}


def codes(*, firmware: Firmware | None = None, **guest: Any) -> set[str]:
    given = {"type": "linux", "distro": "debian", "name": "Debian 12", "version": "12.5", **guest}
    config = VmConfig(id="a", name="a", firmware=firmware, guest=Guest.model_validate(given))
    return {concern.code for concern in assess(config)} & CODES


def system(mount_point: str, free_mib: int | None) -> GuestFilesystem:
    free = None if free_mib is None else free_mib * MIB
    return GuestFilesystem(mount_point=mount_point, device="/dev/sda1", size_bytes=free, free_bytes=free)


def test_a_guest_that_nobody_looked_into_raises_no_concern() -> None:
    assert not {concern.code for concern in assess(VmConfig(id="a", name="a"))} & CODES
    assert codes() == set()


@pytest.mark.parametrize(
    ("guest", "code"),
    [
        ({"type": None, "distro": None}, "guest_without_system"),
        ({"type": "freebsd"}, "guest_unsupported"),
        ({"distro": "archlinux"}, "guest_unsupported"),
        ({"distro": "rhel", "version": "9.4", "virt_v2v_version": "2.2.0"}, "guest_needs_newer_virt_v2v"),
        ({"root_count": 2}, "guest_with_several_systems"),
        ({"has_virtio": False}, "guest_without_virtio"),
        ({"type": "windows", "host_has_virtio_win": False}, "virtio_win_missing"),
        ({"unstable_devices": ("/dev/sdb1",)}, "guest_fstab_unstable"),
        ({"filesystems": (system("/data", None),)}, "guest_filesystem_unmountable"),
    ],
)
def test_each_finding_has_its_code(guest: dict[str, Any], code: str) -> None:
    assert codes(**guest) == {code}


@pytest.mark.parametrize(
    ("guest"),
    [
        {"distro": "rhel", "version": "9.4", "virt_v2v_version": "2.3.4"},
        {"distro": "rhel", "version": "8.9", "virt_v2v_version": "2.2.0"},
        {"distro": "rhel", "version": "9.4", "virt_v2v_version": None},
        {"type": "windows", "has_virtio": True, "host_has_virtio_win": False},
        {"type": "windows", "has_virtio": False, "host_has_virtio_win": True},
        {"has_virtio": None},
    ],
)
def test_what_can_be_converted_raises_none(guest: dict[str, Any]) -> None:
    assert codes(**guest) == set()


@pytest.mark.parametrize(("mount_point", "needed"), [("/", 100), ("/boot", 50), ("/var", 10)])
def test_room_is_judged_by_what_virt_v2v_needs_there(mount_point: str, needed: int) -> None:
    assert codes(filesystems=(system(mount_point, needed),)) == set()
    assert codes(filesystems=(system(mount_point, needed - 1),)) == {"guest_without_room"}


def test_another_firmware_than_the_disks_boot_by_is_told() -> None:
    assert codes(firmware=Firmware.BIOS) == set()
    config = VmConfig(
        id="a",
        name="a",
        firmware=Firmware.BIOS,
        guest=Guest(type="linux", distro="debian", firmware=Firmware.UEFI),
    )
    assert "guest_firmware_differs" in {concern.code for concern in assess(config)}
