"""virt-v2v's output, read from recorded logs and from bytes that nobody would write."""

import json
from pathlib import Path

import pytest

from app.models.events import Severity
from app.v2v.output import (
    LONGEST_LINE,
    DiskPercent,
    DiskStarted,
    Event,
    OutputReader,
    Reading,
    Said,
    Stage,
)
from app.v2v.stages import UNKNOWN
from tests.support.logs import LOGS, OLD, log, read

TWO_DISKS = "2.2.0-local-two-disks"


def message(kind: str, text: str) -> bytes:
    return (
        json.dumps({"message": text, "timestamp": "2026-11-23T04:37:42+00:00", "type": kind}).encode() + b"\n"
    )


def of_kind(events: tuple[Event, ...], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def test_a_whole_conversion_tells_its_stages_in_order() -> None:
    stages = [event.name for event in read(log(TWO_DISKS)).events if isinstance(event, Stage)]
    assert stages == [
        "setting_up_source",
        "opening_source",
        "inspecting",
        "checking_free_space",
        "converting",
        "mapping_filesystem",
        "closing_overlay",
        "assigning_buses",
        "checking_firmware",
        "setting_up_destination",
        "copying",
        "copying",
        "creating_metadata",
        "finishing",
    ]


def test_a_bar_belongs_to_the_disk_that_was_announced_last() -> None:
    copied = [event for event in read(log(TWO_DISKS)).events if isinstance(event, DiskStarted | DiskPercent)]
    second = copied.index(DiskStarted(2, 2))
    assert copied[0] == DiskStarted(1, 2)
    assert [event.percent for event in copied[1:second] if isinstance(event, DiskPercent)] == [
        *(0, 0, 8, 17, 25, 34, 42, 51, 59, 68, 76, 85, 93, 100)
    ]
    assert copied[second + 1 :] == [DiskPercent(2, percent) for percent in (0, 0, 42, 85, 100)]


def test_each_message_is_told_once_though_it_is_written_twice() -> None:
    said = of_kind(read(log(TWO_DISKS)).events, Said)
    assert said == [
        Said(Severity.WARNING, "could not determine a way to update the configuration of Grub2"),
        Said(Severity.INFO, "The QEMU Guest Agent will be installed for this guest at first boot."),
        Said(Severity.INFO, "This guest has virtio drivers installed."),
    ]


def test_an_error_of_several_lines_keeps_its_words() -> None:
    (error,) = of_kind(read(log("2.2.0-no-os-found")).events, Said)
    assert isinstance(error, Said)
    assert error.severity is Severity.ERROR
    assert error.text.startswith("inspection could not detect the source guest")
    assert error.text.endswith("\n\nNo root device found in this operating system image.")


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_no_stage_of_a_recorded_log_is_unknown(path: Path) -> None:
    assert UNKNOWN not in {event.name for event in read(path.read_bytes()).events if isinstance(event, Stage)}


def test_the_cause_is_told_by_what_virt_v2v_starts_and_what_follows_from_it_is_not() -> None:
    events = read(log("2.2.0-no-room")).events
    assert [said.text for said in events if isinstance(said, Said) and said.severity is Severity.ERROR] == [
        "nbdkit: file.6: error: pwrite: No space left on device",
        "nbdcopy: write at offset 280756224 failed: No space left on device",
        "nbdcopy command failed, see earlier error messages",
    ]


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_without_json_the_plain_lines_tell_the_same(path: Path) -> None:
    recorded = path.read_bytes()
    plain = b"\n".join(line for line in recorded.split(b"\n") if not line.startswith(b"{"))
    assert read(plain, machine_readable=False).events == read(recorded).events


def test_the_output_of_virt_v2v_1_is_read() -> None:
    assert read(OLD, machine_readable=False).events == (
        Stage("opening_source", "Opening the source -i libvirtxml guest.xml"),
        Stage("creating_overlay", "Creating an overlay to protect the source from being modified"),
        Stage("inspecting", "Inspecting the overlay"),
        Stage("converting", "Converting CentOS Linux 7 to run on KVM"),
        Said(Severity.INFO, "This guest has virtio drivers installed."),
        Said(Severity.WARNING, "no window system"),
        Stage("copying", "Copying disk 1/2 to /var/tmp/web-sda (qcow2)"),
        DiskStarted(1, 2),
        DiskPercent(1, 0.0),
        DiskPercent(1, 45.67),
        DiskPercent(1, 100.0),
        Stage("copying", "Copying disk 2/2 to /var/tmp/web-sdb (qcow2)"),
        DiskStarted(2, 2),
        DiskPercent(2, 50.0),
        Said(Severity.ERROR, "qemu-img command failed, see earlier errors\n\nIt said nothing else."),
    )


def test_the_kept_log_is_what_a_person_would_have_seen() -> None:
    kept = read(log("2.2.0-no-os-found")).kept.decode().splitlines()
    assert kept == [
        "[   0.0] Setting up the source: -i disk guest/blank.qcow2",
        "[   1.1] Opening the source",
        "[  15.5] Inspecting the source",
        "virt-v2v: error: inspection could not detect the source guest (or physical machine).",
        (
            "Assuming that you are running virt-v2v/virt-p2v on a source which is supported "
            "(and not, for example, a blank disk), then this should not happen."
        ),
        "No root device found in this operating system image.",
        "If reporting bugs, run virt-v2v with debugging enabled and include the complete output:",
        "  virt-v2v -v -x [...]",
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("virt-v2v: unrecognized option '--nonsense'", "virt-v2v: unrecognized option '--nonsense'"),
        ("virt-v2v: option '--root' requires an argument", "virt-v2v: option '--root' requires an argument"),
        (
            "nbdcopy: write at offset 0 failed: No space left on device",
            "nbdcopy: write at offset 0 failed: No space left on device",
        ),
        (
            "nbdkit: file.8: error: pwrite: No space left on device",
            "nbdkit: file.8: error: pwrite: No space left on device",
        ),
        (
            "virt-v2v: error: virt-v2v could not be started: [Errno 8] Exec format error",
            "virt-v2v could not be started: [Errno 8] Exec format error",
        ),
    ],
)
def test_an_error_that_never_comes_as_json_is_told_too(line: str, text: str) -> None:
    expected = (Said(Severity.ERROR, text),)
    assert read(line.encode() + b"\n").events == expected
    assert read(line.encode() + b"\n", machine_readable=False).events == expected


@pytest.mark.parametrize(
    "line",
    [
        "nbdkit: file[1]: debug: file: error handling is on",
        "libguestfs: trace: v2v: mount = -1 (error)",
        "nbdcopy: copied 2 disks",
        "qemu-nbd: Disconnect client, due to: Failed to send reply: Unable to write to socket: Broken pipe",
        "virt-v2v: error: the twin of a message",
        "[  53.0] Copying disk 1/2",
    ],
)
def test_other_plain_lines_tell_nothing_beside_json(line: str) -> None:
    assert read(line.encode() + b"\n") == Reading((), line.encode() + b"\n", len(line) + 1)


def test_a_bar_before_any_disk_tells_nothing() -> None:
    assert read("▐   8% [****----]\r".encode()) == Reading((), b"", 20)


@pytest.mark.parametrize("text", ["Copying disk 0/0", "Copying disk 3/2", "Copying disk 0/5"])
def test_a_disk_that_cannot_be_is_no_disk(text: str) -> None:
    assert read(message("message", text)).events == (Stage("copying", text),)


def test_text_can_be_stored_and_shown() -> None:
    (said,) = read(b'{"type": "warning", "message": "a\\u0000b\\ud800c\\u202ed\\u001b[31m\\n"}\n').events
    assert said == Said(Severity.WARNING, "a b c d [31m")


def test_bytes_that_are_no_text_are_read_with_replacement() -> None:
    reading = read(b"virt-v2v: warning: caf\xe9\n", machine_readable=False)
    assert reading.events == (Said(Severity.WARNING, "caf\ufffd"),)
    assert reading.kept == b"virt-v2v: warning: caf\xe9\n"


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"{}",
        b"[]",
        b"{" * 5000,
        b'{"type": [], "message": "x"}',
        b'{"type": {"a": 1}, "message": "x"}',
        b'{"type": "error", "message": 5}',
        b'{"type": "progress", "message": "1/2"}',
        b'{"type": "message", "message": ' + b"[" * 60000,
        b'{"type": ' + b"9" * 6000 + b"}",
    ],
)
def test_json_that_says_nothing_is_a_log_line(line: bytes) -> None:
    assert read(line + b"\n") == Reading((), line + b"\n", len(line) + 1)


def test_a_line_without_an_end_takes_no_more_memory_than_a_long_line() -> None:
    reader = OutputReader(machine_readable=True)
    for _ in range(100):
        reader.feed(b"x" * 10_000)
    assert len(reader._rest) < LONGEST_LINE


def test_an_error_without_an_end_takes_no_more_memory_than_a_long_line() -> None:
    reader = OutputReader(machine_readable=False)
    reader.feed(b"virt-v2v: error: endless\n")
    for _ in range(100):
        reader.feed(b"and on and on\n" * 700)
    assert len(reader._rest) <= LONGEST_LINE + len(b"and on and on\n" * 700)


def test_an_unfinished_line_is_not_consumed() -> None:
    reading = OutputReader(machine_readable=True).feed(b"whole\nhal")
    assert (reading.kept, reading.consumed) == (b"whole\n", 6)


def test_the_last_line_needs_no_end() -> None:
    reader = OutputReader(machine_readable=True, disk=1, of=1)
    reader.feed(b"whole\n")
    assert reader.feed("█ 100% [****]".encode()).events == ()
    assert reader.finish() == Reading((DiskPercent(1, 100.0),), b"", 15)
    assert reader.finish() == Reading((), b"", 0)
