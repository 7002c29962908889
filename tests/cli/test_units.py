"""Sizes, rates and times."""

import pytest

from app.cli import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1048576", 2**20), ("512M", 2**29), ("2g", 2**31), ("1.5GiB", 3 * 2**29), (" 1 TB ", 2**40), ("0b", 0)],
)
def test_a_size_may_be_written_in_many_ways(text: str, expected: int) -> None:
    assert units.parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "big", "-1G", "1X", "1e9", "G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "-"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**50 * 5000, "5000.0 PiB")],
)
def test_a_size_is_shown_with_its_unit(value: float | None, expected: str) -> None:
    assert units.size(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "-"), (0.4, "0 s"), (59.6, "1 min 0 s"), (182, "3 min 2 s"), (7265, "2 h 1 min")],
)
def test_a_duration_is_shown_in_its_two_largest_parts(seconds: float | None, expected: str) -> None:
    assert units.duration(seconds) == expected


def test_a_part_is_shown_in_the_unit_of_the_whole_where_it_is_the_same() -> None:
    shown = [units.part(3 * 2**29, 2**31), units.part(2**29, 2**31), units.part(None, 2**31)]
    assert shown == ["1.5/2.0 GiB", "512.0 MiB/2.0 GiB", "-/2.0 GiB"]


@pytest.mark.parametrize(("seconds", "expected"), [(5, "0:05"), (725, "12:05"), (3725.2, "1:02:05")])
def test_a_clock_is_short(seconds: float, expected: str) -> None:
    assert units.clock(seconds) == expected


def test_what_is_unknown_is_never_shown_as_zero() -> None:
    assert [units.percent(None), units.rate(None), units.between(None, None)] == ["-", "-", "-"]
