"""Progress: per disk, weighted by size, never backwards."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.progress import DiskCopyState, DiskProgress, Progress
from app.v2v.output import DiskPercent, DiskStarted, Event, OutputReader, Said, Stage
from app.v2v.progress import ProgressTracker

DATA = Path(__file__).parents[1] / "data"
COPY_ENDED = Stage("creating_metadata", "Creating output metadata")


def tracker(*sizes: int | None) -> ProgressTracker:
    disks = tuple(
        DiskProgress(number=number, label=f"disk {number}", capacity_bytes=size)
        for number, size in enumerate(sizes, start=1)
    )
    return ProgressTracker(disks, Progress())


def apply(followed: ProgressTracker, *events: Event, at_seconds: float = 0) -> list[bool]:
    return [followed.apply(event, at_seconds) for event in events]


def percents(followed: ProgressTracker) -> list[float | None]:
    return [disk.percent for disk in followed.disk_progress]


def test_nothing_is_known_before_the_copy() -> None:
    followed = tracker(100, 300)
    assert apply(followed, Stage("inspecting", "…"), Said("warning", "…")) == [False, False]  # type: ignore[arg-type]  # a severity's value
    assert (followed.progress.percent, percents(followed)) == (None, [None, None])


def test_the_total_is_weighted_by_size() -> None:
    followed = tracker(100, 300)
    apply(followed, DiskStarted(1, 2), DiskPercent(1, 50))
    assert (followed.progress.percent, followed.progress.bytes_copied) == (12.5, 50)
    apply(followed, DiskStarted(2, 2), DiskPercent(2, 50))
    assert (followed.progress.percent, percents(followed)) == (62.5, [100, 50])
    apply(followed, COPY_ENDED)
    assert (followed.progress.percent, percents(followed)) == (100, [100, 100])
    assert {disk.state for disk in followed.disk_progress} == {DiskCopyState.COPIED}


def test_a_disk_whose_bar_never_reached_100_is_whole_when_the_next_begins() -> None:
    followed = tracker(100, 100)
    apply(followed, DiskStarted(1, 2), DiskPercent(1, 97), DiskStarted(2, 2))
    assert percents(followed) == [100, 0]


def test_an_unknown_size_makes_the_total_unknown_and_no_false_0() -> None:
    followed = tracker(100, None)
    apply(followed, DiskStarted(1, 2), DiskPercent(1, 40))
    assert (followed.progress.percent, followed.progress.bytes_total) == (None, None)
    assert percents(followed) == [40, None]


def test_more_disks_than_were_known_are_added() -> None:
    followed = tracker(100)
    apply(followed, DiskStarted(1, 2))
    assert [disk.number for disk in followed.disk_progress] == [1, 2]


def test_rate_and_remaining_time_come_from_the_last_seconds() -> None:
    followed = tracker(1000)
    apply(followed, DiskStarted(1, 1), at_seconds=0)
    apply(followed, DiskPercent(1, 10), at_seconds=0.1)
    assert followed.progress.bytes_per_second is None
    apply(followed, DiskPercent(1, 50), at_seconds=5)
    assert followed.progress.bytes_per_second == 100
    assert followed.progress.eta_seconds == 5
    apply(followed, DiskPercent(1, 51), at_seconds=40)
    apply(followed, DiskPercent(1, 61), at_seconds=50)
    assert followed.progress.bytes_per_second == 10
    apply(followed, COPY_ENDED, at_seconds=51)
    assert (followed.progress.bytes_per_second, followed.progress.eta_seconds) == (None, None)


def test_repeats_are_no_news() -> None:
    followed = tracker(100)
    assert apply(followed, DiskStarted(1, 1), DiskPercent(1, 5), DiskPercent(1, 5), DiskPercent(1, 3)) == [
        True,
        True,
        False,
        False,
    ]


def test_another_tracker_goes_on_with_what_was_saved() -> None:
    first = tracker(100, 100)
    apply(first, DiskStarted(1, 2), DiskPercent(1, 80))
    second = ProgressTracker(first.disk_progress, first.progress)
    apply(second, DiskPercent(1, 10))
    assert (second.progress.percent, percents(second)) == (40, [80, None])


EVENTS = st.one_of(
    st.builds(DiskStarted, st.integers(1, 4), st.just(3)),
    st.builds(DiskPercent, st.integers(0, 5), st.floats(0, 100)),
    st.just(COPY_ENDED),
)


@given(st.lists(EVENTS, max_size=40), st.lists(st.integers(0, 10**12), min_size=3, max_size=3))
def test_whatever_comes_nothing_goes_backwards(events: list[Event], sizes: list[int]) -> None:
    followed = tracker(*sizes)
    total, disks = 0.0, [0.0] * 3
    for at_seconds, event in enumerate(events):
        followed.apply(event, float(at_seconds))
        now = [percent or 0.0 for percent in percents(followed)[:3]]
        assert all(after >= before for before, after in zip(disks, now, strict=True))
        assert (followed.progress.percent or total) >= total
        assert 0 <= (followed.progress.percent or 0) <= 100
        total, disks = followed.progress.percent or total, now


@pytest.mark.parametrize("version", ["2.2.0", "2.6.0"])
def test_a_recorded_conversion_ends_at_100(version: str) -> None:
    followed, reader = tracker(2**30, 2**20), OutputReader(machine_readable=True)
    for event in reader.feed((DATA / f"virt-v2v-{version}-local-two-disks.log").read_bytes()).events:
        followed.apply(event, 0)
    assert (followed.progress.percent, percents(followed)) == (100, [100, 100])
