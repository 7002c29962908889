"""virt-v2v's messages, each with its code."""

from pathlib import Path

import pytest

from app.v2v.failures import CATALOGUE, LONGEST_DETAIL, explain
from app.v2v.output import OutputReader, Said

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("inspection could not detect the source guest (or physical machine).", "no_os_found"),
        ("multi-boot operating systems are not supported by virt-v2v", "multi_boot"),
        ("insufficient free space in the conversion server temporary directory /var/tmp", "host_no_space"),
        ("libguestfs error: /out/vm-sda: No space left on device", "host_no_space"),
        ("not enough free space for conversion on filesystem '/'. 10.0 MB free < 100 MB", "guest_no_space"),
        (
            "unable to mount the disk image for writing. It is probably because Windows Hibernation",
            "hibernated_windows",
        ),
        ("libguestfs error: could not find key to open LUKS encrypted /dev/sda2", "encrypted_disk"),
        ("there are no virtio drivers available for this version of Windows (10.0)", "missing_drivers"),
        ("One of rhsrvany.exe or pvvxsvc.exe is missing in /usr/share/virt-tools", "missing_tool"),
        ("virt-v2v is unable to convert this guest type (linux/arch)", "unsupported_guest"),
        ("no installed kernel packages were found, or no kernels were found", "no_kernel"),
        ("libguestfs error: sh_lines: update-initramfs: failed for /boot/initrd.img", "initramfs_failed"),
        ("libguestfs error: guestfs_launch failed, see earlier error messages", "appliance_failed"),
        ("access: No such file or directory: /nonexistent.img", "source_vanished"),
        ("access: Permission denied: /root/x.img", "source_permission_denied"),
        ("exception: libvirt: VIR_ERR_AUTH_FAILED: authentication failed: refused", "source_login_failed"),
        ("exception: libvirt: unable to connect: Connection refused", "source_unreachable"),
        ("qemu-img: Could not open 'x.qcow2': Image is corrupt", "disk_image_unreadable"),
        ("nbdcopy: write: Connection closed", "copy_failed"),
        ("something that nobody has heard of", "conversion_failed"),
    ],
)
def test_each_message_has_its_code_and_keeps_its_words(said: str, code: str) -> None:
    problem = explain([said], 1).to_problem()
    assert (problem.code, problem.detail, problem.status) == (code, said, 422)
    assert problem.hint


def test_recorded_errors_are_explained_without_virt_v2v_s_own_footer() -> None:
    reader = OutputReader(machine_readable=True)
    reading = reader.feed((DATA / "virt-v2v-2.2.0-no-os-found.log").read_bytes())
    problem = explain([event.text for event in reading.events if isinstance(event, Said)], 1).to_problem()
    assert problem.code == "no_os_found"
    assert "reporting bugs" not in problem.detail


@pytest.mark.parametrize(("exit_code", "word"), [(1, "exit code 1"), (-9, "signal 9")])
def test_silence_is_explained_by_how_it_ended(exit_code: int, word: str) -> None:
    assert word in explain([], exit_code).detail


def test_a_detail_is_bounded_and_plain() -> None:
    detail = explain(["a\x1b[31m\0b" + "x" * 10_000], 1).detail
    assert len(detail) == LONGEST_DETAIL
    assert detail.startswith("a [31m b")


def test_every_code_is_its_own() -> None:
    codes = [kind.code for kind in CATALOGUE]
    assert len(set(codes)) == len(codes)
