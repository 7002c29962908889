"""Recorded output of virt-v2v becomes events, however its bytes are cut."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.models.events import Severity
from app.v2v.output import (
    LONGEST_LINE,
    DiskPercent,
    DiskStarted,
    Event,
    OutputReader,
    Said,
    Stage,
)

DATA = Path(__file__).parents[1] / "data"
RECORDED = sorted(DATA.glob("virt-v2v-*.log"))


def read_all(data: bytes, *, machine_readable: bool = True) -> tuple[list[Event], bytes]:
    reader = OutputReader(machine_readable=machine_readable)
    readings = [reader.feed(data), reader.finish()]
    return [event for r in readings for event in r.events], b"".join(r.kept for r in readings)


def stages(events: list[Event]) -> list[str]:
    return [event.name for event in events if isinstance(event, Stage)]


def test_there_are_recorded_logs() -> None:
    assert len(RECORDED) == 5


def test_a_conversion_of_two_disks_is_told_in_order() -> None:
    events, _ = read_all((DATA / "virt-v2v-2.2.0-local-two-disks.log").read_bytes())
    assert stages(events) == [
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
    copies = [event for event in events if isinstance(event, DiskStarted | DiskPercent)]
    assert copies[0] == DiskStarted(1, 2)
    assert DiskStarted(2, 2) in copies
    border = copies.index(DiskStarted(2, 2))
    assert {c.number for c in copies[:border]} == {1}
    assert {c.number for c in copies[border:]} == {2}


def test_warnings_and_errors_come_once_with_their_whole_text() -> None:
    events, _ = read_all((DATA / "virt-v2v-2.2.0-no-os-found.log").read_bytes())
    (error,) = [event for event in events if isinstance(event, Said)]
    assert error.severity is Severity.ERROR
    assert error.text.startswith("inspection could not detect the source guest")
    assert error.text.endswith("No root device found in this operating system image.")


def test_the_kept_log_has_each_message_once_and_no_bars() -> None:
    _, kept = read_all((DATA / "virt-v2v-2.6.0-local-two-disks.log").read_bytes())
    assert kept.count(b"Setting a random seed") == 1
    assert b"[****" not in kept
    assert b'"timestamp"' not in kept
    assert b"\r" not in kept


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_no_stage_of_a_recorded_log_is_unknown(path: Path) -> None:
    events, _ = read_all(path.read_bytes())
    assert "other" not in stages(events)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_without_json_the_plain_lines_tell_the_same_stages(path: Path) -> None:
    data = path.read_bytes()
    plain = b"\n".join(line for line in data.split(b"\n") if not line.startswith(b"{"))
    assert stages(read_all(plain, machine_readable=False)[0]) == stages(read_all(data)[0])


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_split_of_the_bytes_gives_the_same(path: Path, data: st.DataObject) -> None:
    whole = path.read_bytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=30)))
    reader = OutputReader(machine_readable=True)
    events: list[Event] = []
    kept = b""
    consumed = 0
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        reading = reader.feed(whole[start:end])
        events += reading.events
        kept += reading.kept
        consumed += reading.consumed
    last = reader.finish()
    assert (events + list(last.events), kept + last.kept) == read_all(whole)
    assert consumed + last.consumed == len(whole)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_another_reader_goes_on_exactly_where_one_stopped(path: Path, data: st.DataObject) -> None:
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    first = OutputReader(machine_readable=True)
    begun = first.feed(whole[:cut])
    second = OutputReader(machine_readable=True, disk=first.disk, of=first.of)
    rest = [second.feed(whole[begun.consumed :]), second.finish()]
    events = [*begun.events, *(event for r in rest for event in r.events)]
    assert (events, begun.kept + b"".join(r.kept for r in rest)) == read_all(whole)


@given(st.binary(max_size=2000), st.booleans())
def test_garbage_never_raises(data: bytes, machine_readable: bool) -> None:
    read_all(data, machine_readable=machine_readable)


@pytest.mark.parametrize(
    "line",
    [
        b'{"message": 7, "type": "error"}',
        b'{"type": "message"}',
        b'{"message": "m", "type": "surprise"}',
        b"[]",
        b"{" * 5000,
        b'{"message": "cut off',
        b"\xff\xfe\x00",
    ],
)
def test_a_line_that_is_no_message_is_a_log_line(line: bytes) -> None:
    events, kept = read_all(line + b"\n")
    assert (events, kept) == ([], line + b"\n")


def test_a_line_without_an_end_doesn_t_fill_the_memory() -> None:
    reader = OutputReader(machine_readable=True)
    kept = 0
    for _ in range(50):
        kept += len(reader.feed(b"x" * LONGEST_LINE).kept)
    assert kept >= 49 * LONGEST_LINE


def test_version_1_s_bar_and_header_are_understood() -> None:
    bars = b"".join(b"    (%s/100%%)\r" % percent for percent in (b"0.00", b"45.67", b"100.00"))
    log = b"[   9.0] Copying disk 1/2 to /out/vm-sda (raw)\n" + bars + b"\n"
    events, kept = read_all(log, machine_readable=False)
    assert events[1:] == [
        DiskStarted(1, 2),
        DiskPercent(1, 0.0),
        DiskPercent(1, 45.67),
        DiskPercent(1, 100.0),
    ]
    assert kept.count(b"\n") == 1


def test_a_bar_before_any_header_belongs_to_no_disk() -> None:
    assert read_all("▐   8% [****------]\r".encode())[0] == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Checking filesystem integrity before conversion", "checking_filesystem_integrity"),
        ("Converting Red Hat Enterprise Linux 9.4 (Plow) to run on KVM", "converting"),
        ("Initializing the target -o vdsm", "setting_up_destination"),
        ("Doing what nobody has heard of", "other"),
    ],
)
def test_stages_are_known_by_their_text(text: str, name: str) -> None:
    events, _ = read_all(f"[   1.0] {text}\n".encode(), machine_readable=False)
    assert events == [Stage(name, text)]
