"""What is heard of one followed attempt, and what of it is saved, told and masked."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from app.jobs import facts
from app.jobs.hearing import SEQ_GAP, Hearing, Limits
from app.models.attempts import Attempt
from app.models.columns import now
from app.models.imports import VmImport
from app.models.progress import DiskProgress, Progress

GIB = 2**30


def hearing(
    *secrets: str,
    row: VmImport | None = None,
    at_seconds: float = 0.0,
    limits: Limits = Limits(stall_after_seconds=10),  # noqa: B008  # frozen
    launched_seconds_ago: float = 0.0,
    **saved: Any,
) -> Hearing:
    """`saved`: what an earlier watcher saved on the attempt."""
    found = row or _row()
    attempt = Attempt(import_id=found.id, number=2, **saved)
    launched_at = now() - timedelta(seconds=launched_seconds_ago)
    attempt.facts = {facts.LAUNCHED: {facts.MACHINE_READABLE: True, facts.AT: launched_at.isoformat()}}
    return Hearing(found, attempt, [SecretStr(text) for text in secrets], at_seconds, limits)


def _row(*percents: float | None) -> VmImport:
    row = VmImport(spec={}, data_center_id=uuid4(), created_by="test", progress_seq=7)
    row.progress = Progress(bytes_total=2 * GIB)
    row.disk_progress = tuple(
        DiskProgress(number=number, label=f"disk {number}", capacity_bytes=GIB) for number in (1, 2)
    )
    return row


def line(kind: str, text: str) -> bytes:
    message = json.dumps({"message": text, "timestamp": "2024-01-01T00:00:00", "type": kind})
    return f"{message}\n[   1.0] {text}\n".encode()


def bar(percent: int) -> bytes:
    return f"▐ {percent:3}% [****----]\r".encode()


def test_what_is_cut_goes_from_one_whole_line_to_another() -> None:
    heard = hearing()
    data = line("message", "Inspecting the source")
    heard.read(0, data[:-3], 1.0)
    first = heard.cut()
    heard.read(len(data) - 3, data[-3:], 1.0)
    second = heard.cut()
    assert (first.start, second.end) == (0, len(data))
    assert first.end == second.start
    assert bytes(first.kept + second.kept) == b"[   1.0] Inspecting the source\n"
    assert first.stage == "inspecting"


def test_bytes_that_come_again_are_passed_over() -> None:
    heard = hearing()
    data = line("message", "Inspecting the source")
    heard.read(0, data, 1.0)
    heard.read(0, data, 1.0)
    heard.read(5, data[5:] + b"more\n", 1.0)
    assert bytes(heard.cut().kept) == b"[   1.0] Inspecting the source\nmore\n"


def test_a_hearing_goes_on_where_the_log_was_read_to() -> None:
    heard = hearing(log_bytes=100)
    heard.read(90, b"0123456789new\n", 1.0)
    cut = heard.cut()
    assert (cut.start, cut.end, bytes(cut.kept)) == (100, 104, b"new\n")


def test_the_end_counts_a_last_line_without_an_end() -> None:
    heard = hearing()
    heard.read(0, b"half a line", 1.0)
    heard.end(2.0)
    cut = heard.cut()
    assert (heard.has_ended, cut.end, bytes(cut.kept)) == (True, 11, b"half a line\n")


def test_bars_move_progress_and_are_not_kept() -> None:
    heard = hearing()
    heard.read(0, line("message", "Copying disk 1/2") + bar(50), 1.0)
    event = heard.progress_event()
    assert (event.progress.percent, event.disk_progress[0].percent) == (25.0, 50.0)
    assert bytes(heard.cut().kept) == b"[   1.0] Copying disk 1/2\n"


def test_progress_alone_is_not_saved_ahead_of_the_line_that_begins_a_disk() -> None:
    heard = hearing()
    heard.read(0, line("message", "Copying disk 1/2") + bar(50), 1.0)
    assert not heard.wants_saving()
    heard.cut()
    assert heard.wants_saving()
    heard.progress_save()
    assert not heard.wants_saving()


def test_another_watcher_takes_the_next_bars_for_the_disk_that_was_being_copied() -> None:
    row = _row()
    first = hearing(row=row)
    data = line("message", "Copying disk 1/2") + bar(100) + line("message", "Copying disk 2/2") + bar(10)
    first.read(0, data, 1.0)
    cut, saved = first.cut(), first.progress_save()
    row.progress, row.disk_progress, row.progress_seq = saved.progress, saved.disk_progress, saved.seq
    second = hearing(row=row, log_bytes=cut.end)
    second.read(cut.end, bar(40), 2.0)
    event = second.progress_event()
    assert [disk.percent for disk in event.disk_progress] == [100.0, 40.0]
    assert event.seq > saved.seq


def test_a_new_watcher_s_numbers_are_beyond_all_that_were_published_unsaved() -> None:
    row = _row()
    first = hearing(row=row)
    for _ in range(1000):
        last = first.progress_event()
    assert hearing(row=row).progress_event().seq > row.progress_seq + SEQ_GAP
    row.progress_seq = first.progress_save().seq
    assert hearing(row=row).progress_event().seq > last.seq


def test_warnings_and_errors_are_told_apart() -> None:
    heard = hearing()
    heard.read(0, line("warning", "careful") + line("error", "broken") + line("info", "by the way"), 1.0)
    cut = heard.cut()
    said = cut.heard()
    assert ([warning.message for warning in said.warnings], said.errors) == (["careful"], ("broken",))
    told = heard.messages(cut)
    assert [(message.severity, message.text) for _, message in told] == [
        ("warning", "careful"),
        ("error", "broken"),
        ("info", "by the way"),
    ]


def test_the_marks_of_messages_never_fall() -> None:
    heard = hearing()
    marks = []
    offset = 0
    for number in range(5):
        data = line("info", f"message {number}") + line("info", f"again {number}")
        heard.read(offset, data, 1.0)
        offset += len(data)
        marks += [mark for mark, _ in heard.messages(heard.cut())]
        marks.append(heard.stalled_message("stands still")[0])
    assert marks == sorted(set(marks))


@pytest.mark.parametrize("secret", ["sesame", 'with "quotes" and \\', "two\nlines", "ünï"])
def test_secrets_are_masked_wherever_virt_v2v_prints_them(secret: str) -> None:
    heard = hearing(secret)
    plain = secret.splitlines()[0]
    heard.read(0, f"key: {plain}\n".encode() + line("error", f"bad key {plain}"), 1.0)
    cut = heard.cut()
    assert plain.encode() not in bytes(cut.kept)
    assert all(plain not in said.text for said in cut.said)
    assert b"***" in bytes(cut.kept)


def test_an_empty_secret_masks_nothing() -> None:
    heard = hearing("", "\n")
    heard.read(0, b"text\n", 1.0)
    assert bytes(heard.cut().kept) == b"text\n"


def test_neither_output_nor_i_o_for_a_while_is_a_stall_and_told_once() -> None:
    heard = hearing()
    heard.is_active(100, 5.0)
    heard.is_active(100, 14.0)
    assert not heard.has_stalled()
    heard.is_active(100, 15.0)
    assert heard.has_stalled()
    assert not heard.has_stalled()
    assert heard.progress_event().progress.stalled_since is not None


@pytest.mark.parametrize("how", ["output", "i/o"])
def test_a_stall_is_over_when_something_moves(how: str) -> None:
    heard = hearing()
    for at_seconds in (0.0, 20.0):
        heard.is_active(100, at_seconds)
    assert heard.has_stalled()
    if how == "output":
        heard.read(0, bar(1), 21.0)
    else:
        heard.is_active(101, 21.0)
    assert heard.progress_event().progress.stalled_since is None
    for at_seconds in (22.0, 32.0):
        heard.is_active(101, at_seconds)
    assert heard.has_stalled()


def test_a_stall_that_was_saved_is_not_told_again_by_the_next_watcher() -> None:
    row = _row()
    row.progress = Progress(stalled_since=now())
    heard = hearing(row=row, still_seconds=20.0, io_bytes=100)
    heard.is_active(100, 1.0)
    assert not heard.has_stalled()
    assert heard.progress_event().progress.stalled_since is not None


def test_time_that_nobody_saw_is_no_stall() -> None:
    heard = hearing()
    heard.is_active(100, 1.0)
    heard.is_active(100, 6.0)
    heard.reconnected(100.0)
    heard.is_active(100, 104.0)
    assert not heard.has_stalled()
    heard.is_active(100, 105.0)
    assert heard.has_stalled()


def test_a_connection_that_breaks_again_and_again_hides_no_stall() -> None:
    heard = hearing()
    heard.is_active(100, 0.0)
    for number in range(1, 6):
        heard.reconnected(100.0 * number)
        heard.is_active(100, 100.0 * number + 2.0)
    assert heard.has_stalled()


def test_what_moved_while_nobody_saw_it_begins_the_count_anew() -> None:
    heard = hearing()
    heard.is_active(100, 0.0)
    heard.is_active(100, 9.0)
    heard.reconnected(50.0)
    heard.is_active(101, 51.0)
    heard.is_active(101, 60.0)
    assert not heard.has_stalled()


STRICT = Limits(stall_after_seconds=10, stall_limit_seconds=30, time_limit_seconds=100)


def test_a_stall_beyond_the_limit_is_told_once() -> None:
    heard = hearing(limits=STRICT)
    heard.is_active(100, 0.0)
    heard.is_active(100, 29.0)
    assert heard.goes_beyond(29.5) is None
    heard.is_active(100, 31.0)
    beyond = heard.goes_beyond(31.0)
    assert beyond is not None
    assert (beyond.error().code, "31 s" in beyond.detail) == ("stalled", True)
    assert heard.goes_beyond(32.0) is None


def test_watchers_that_come_and_go_count_a_stall_on() -> None:
    saved: dict[str, Any] = {}
    for _ in range(4):
        heard = hearing(limits=STRICT, **saved)
        heard.is_active(100, 1.0)
        heard.is_active(100, 11.0)
        look = heard.stillness_save()
        assert look is not None
        saved = {"still_seconds": look.still_seconds, "io_bytes": look.io_bytes}
    assert heard.goes_beyond(11.0) is not None


def test_a_watcher_that_finds_another_count_begins_anew() -> None:
    heard = hearing(limits=STRICT, still_seconds=29.0, io_bytes=100)
    heard.is_active(200, 5.0)
    heard.is_active(200, 10.0)
    assert heard.goes_beyond(10.0) is None


def test_stillness_is_saved_only_where_there_is_some() -> None:
    heard = hearing()
    heard.is_active(100, 0.0)
    heard.is_active(101, 5.0)
    assert heard.stillness_save() is None
    heard.is_active(101, 10.0)
    assert heard.stillness_save() is not None
    assert heard.stillness_save() is None
    heard.read(0, bar(1), 11.0)
    look = heard.stillness_save()
    assert (look and look.still_seconds) == 0


def test_the_time_limit_counts_from_the_launch_whoever_watches() -> None:
    heard = hearing(limits=STRICT, launched_seconds_ago=90, at_seconds=1000.0)
    assert heard.goes_beyond(1008.0) is None
    beyond = heard.goes_beyond(1011.0)
    assert beyond is not None
    assert beyond.error().code == "time_limit_exceeded"


def test_a_launch_that_lies_ahead_of_the_clock_is_now() -> None:
    heard = hearing(limits=STRICT, launched_seconds_ago=-3600)
    assert heard.goes_beyond(99.0) is None
    assert heard.goes_beyond(101.0) is not None


def test_without_limits_nothing_goes_beyond_them() -> None:
    heard = hearing(launched_seconds_ago=10**6)
    heard.is_active(100, 0.0)
    heard.is_active(100, 10.0**6)
    assert heard.goes_beyond(10.0**6) is None
