"""Progress from virt-v2v's events: weighted by size, never backwards, honest about what is unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.events import Severity
from app.models.progress import DiskCopyState, DiskProgress, Progress
from app.v2v.output import DiskPercent, DiskStarted, Event, Said, Stage
from app.v2v.progress import MOST_DISKS, ProgressTracker
from tests.support.logs import log, read

GIB = 2**30
TIB = 2**40
METADATA = Stage("creating_metadata", "Creating output metadata")


def disks(*sizes: int | None) -> tuple[DiskProgress, ...]:
    return tuple(
        DiskProgress(number=number, label=f"sd{number}", capacity_bytes=size)
        for number, size in enumerate(sizes, start=1)
    )


def tracker(*sizes: int | None) -> ProgressTracker:
    return ProgressTracker(disks(*sizes), Progress())


def feed(tracked: ProgressTracker, *events: Event, every_seconds: float = 2.0) -> ProgressTracker:
    for number, event in enumerate(events):
        tracked.apply(event, number * every_seconds)
    return tracked


def percents(tracked: ProgressTracker) -> list[float | None]:
    return [disk.percent for disk in tracked.disk_progress]


def test_a_whole_recorded_copy_ends_at_100_percent() -> None:
    tracked = feed(tracker(3 * GIB, GIB), *read(log("2.2.0-local-two-disks")).events)
    assert tracked.progress == Progress(percent=100.0, bytes_copied=4 * GIB, bytes_total=4 * GIB)
    assert {disk.state for disk in tracked.disk_progress} == {DiskCopyState.COPIED}


def test_a_disk_counts_by_its_size() -> None:
    tracked = feed(tracker(3 * GIB, GIB), DiskStarted(1, 2), DiskPercent(1, 50.0))
    assert tracked.progress.percent == 37.5
    assert tracked.progress.bytes_copied == 3 * GIB // 2
    assert tracked.progress.bytes_estimated
    assert [disk.state for disk in tracked.disk_progress] == ["copying", "pending"]


def test_nothing_is_known_before_the_copy() -> None:
    tracked = tracker(GIB, GIB)
    assert not tracked.apply(Stage("inspecting", "Inspecting the source"), 1.0)
    tracked.apply(METADATA, 2.0)
    assert (tracked.progress.percent, percents(tracked)) == (None, [None, None])


def test_the_next_disk_says_that_the_one_before_is_whole() -> None:
    tracked = feed(tracker(GIB, GIB), DiskStarted(1, 2), DiskPercent(1, 97.0), DiskStarted(2, 2))
    assert percents(tracked) == [100.0, 0.0]
    assert tracked.progress.percent == 50.0


def test_the_last_disk_is_whole_when_the_metadata_is_written() -> None:
    tracked = feed(tracker(GIB), DiskStarted(1, 1), DiskPercent(1, 97.0), METADATA)
    assert (percents(tracked), tracked.progress.percent) == ([100.0], 100.0)


def test_output_that_begins_again_moves_nothing_back() -> None:
    tracked = feed(tracker(GIB, GIB), DiskStarted(1, 2), DiskPercent(1, 80.0), DiskStarted(2, 2))
    before = tracked.progress.percent
    feed(tracked, DiskStarted(1, 2), DiskPercent(1, 10.0))
    assert (percents(tracked), tracked.progress.percent) == ([100.0, 0.0], before)


def test_a_bar_that_falls_back_moves_nothing_back() -> None:
    tracked = feed(tracker(GIB), DiskStarted(1, 1), DiskPercent(1, 42.0), DiskPercent(1, 8.0))
    assert percents(tracked) == [42.0]


def test_without_every_size_the_whole_is_unknown() -> None:
    tracked = feed(tracker(GIB, None), DiskStarted(1, 2), DiskPercent(1, 50.0))
    assert tracked.progress == Progress()
    assert percents(tracked) == [50.0, None]


def test_disks_that_only_virt_v2v_speaks_of_are_shown_up_to_a_bound() -> None:
    tracked = feed(tracker(GIB), DiskStarted(1, 3), DiskStarted(2, 999_999), DiskStarted(9, 999_999))
    assert tracked.disk_progress[1].label == "disk 2"
    assert len(tracked.disk_progress) == MOST_DISKS


def test_empty_disks_are_done_when_virt_v2v_says_so() -> None:
    tracked = feed(tracker(0), DiskStarted(1, 1))
    assert tracked.progress.percent is None
    assert feed(tracked, METADATA).progress.percent == 100.0


def test_repeats_are_no_news() -> None:
    tracked = tracker(GIB)
    events = DiskStarted(1, 1), DiskPercent(1, 5.0), DiskPercent(1, 5.0), DiskPercent(1, 3.0)
    assert [tracked.apply(event, 0.0) for event in events] == [True, True, False, False]


def test_a_message_changes_no_progress() -> None:
    tracked = feed(tracker(GIB), DiskStarted(1, 1))
    assert not tracked.apply(Said(Severity.WARNING, "x"), 9.0)


# --- rate and remaining time -----------------------------------------------------------------------------


def test_a_rate_needs_two_points() -> None:
    tracked = feed(tracker(100 * GIB), DiskStarted(1, 1))
    assert tracked.progress.bytes_per_second is None
    tracked.apply(DiskPercent(1, 10.0), 0.2)
    assert (tracked.progress.bytes_per_second, tracked.progress.eta_seconds) == (None, None)
    tracked.apply(DiskPercent(1, 20.0), 10.0)
    assert tracked.progress.bytes_per_second == 2 * GIB
    assert tracked.progress.eta_seconds == 40.0


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    tracked = feed(tracker(100 * GIB), DiskStarted(1, 1))
    for second in range(1, 11):
        tracked.apply(DiskPercent(1, float(second)), float(second))
    for second in range(12, 52, 2):
        tracked.apply(DiskPercent(1, 10 + (second - 10) / 2), float(second))
    assert tracked.progress.bytes_per_second == pytest.approx(GIB / 2)


def test_percents_that_come_slower_than_the_window_still_give_a_rate() -> None:
    tracked = feed(tracker(4 * TIB), DiskStarted(1, 1))
    for percent in (1, 2, 3):
        tracked.apply(DiskPercent(1, float(percent)), percent * 400.0)
    assert tracked.progress.bytes_per_second == pytest.approx(4 * TIB / 100 / 400, rel=0.01)


def test_a_bar_that_stands_still_lets_the_rate_fall() -> None:
    tracked = feed(tracker(100 * GIB), DiskStarted(1, 1), DiskPercent(1, 10.0))
    fast = tracked.progress.bytes_per_second
    assert tracked.apply(DiskPercent(1, 10.0), 20.0)
    assert (tracked.progress.bytes_per_second or 0) < (fast or 0)


def test_bars_without_number_take_no_memory() -> None:
    tracked = feed(tracker(GIB), DiskStarted(1, 1))
    for number in range(10_000):
        tracked.apply(DiskPercent(1, 5.0), number / 1000)
    assert len(tracked._points) < 5


def test_when_all_is_copied_no_time_remains() -> None:
    tracked = feed(tracker(GIB), DiskStarted(1, 1), DiskPercent(1, 50.0), METADATA)
    assert (tracked.progress.bytes_per_second, tracked.progress.eta_seconds) == (None, None)


# --- what was saved goes on ------------------------------------------------------------------------------


def test_another_tracker_goes_on_from_what_was_saved() -> None:
    first = feed(tracker(GIB, GIB), DiskStarted(1, 2), DiskPercent(1, 60.0))
    saved = [DiskProgress.model_validate_json(disk.model_dump_json()) for disk in first.disk_progress]
    progress = Progress.model_validate_json(first.progress.model_dump_json())
    second = ProgressTracker(tuple(saved), progress)
    second.apply(DiskPercent(1, 20.0), 1000.0)
    assert second.progress.percent == 30.0
    feed(second, DiskStarted(2, 2), DiskPercent(2, 50.0))
    assert second.progress.percent == 75.0


EVENTS = st.one_of(
    st.builds(DiskStarted, st.integers(1, 4), st.integers(1, 4)),
    st.builds(DiskPercent, st.integers(1, 4), st.floats(0, 100)),
    st.just(METADATA),
)
SIZES = st.lists(st.integers(0, TIB), min_size=4, max_size=4)


@given(SIZES, st.lists(EVENTS, max_size=30))
def test_nothing_ever_moves_back(sizes: list[int], events: list[Event]) -> None:
    tracked = tracker(*sizes)
    for number, event in enumerate(events):
        before = [tracked.progress.percent, *percents(tracked)]
        tracked.apply(event, float(number))
        after = [tracked.progress.percent, *percents(tracked)]
        assert all((new or 0) >= (old or 0) for old, new in zip(before, after, strict=True))
        assert all(percent is None or 0 <= percent <= 100 for percent in after)
        assert (tracked.progress.bytes_copied or 0) <= sum(sizes)


def test_a_copy_that_failed_stays_where_it_was() -> None:
    tracked = feed(tracker(GIB), *read(log("2.2.0-no-room")).events)
    assert tracked.progress.percent == 50.0
    assert [disk.state for disk in tracked.disk_progress] == ["copying"]
