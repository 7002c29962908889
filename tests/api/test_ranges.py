"""Byte ranges: from, to, the last N; anything else is the whole."""

import pytest

from app.api.ranges import byte_range
from app.errors import RangeNotSatisfiableError


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-5", 2, 6),
        ("bytes=7-", 7, 10),
        ("bytes=7-99", 7, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-99", 0, 10),
        ("Bytes = 1 - 2", 1, 3),
    ],
)
def test_a_range_is_cut_to_what_is_there(header: str, start: int, end: int) -> None:
    found = byte_range(header, 10)
    assert (found.start, found.end, found.status) == (start, end, 206)
    assert found.headers["Content-Range"] == f"bytes {start}-{end - 1}/10"


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "lines=1-2", "bytes=5-2", "bytes=0-1,4-5", "bytes=a-b", "²"]
)
def test_anything_else_is_the_whole(header: str | None) -> None:
    found = byte_range(header, 10)
    assert (found.start, found.end, found.status) == (0, 10, 200)
    assert "Content-Range" not in found.headers


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=-5", 0)])
def test_a_range_of_which_nothing_is_there_is_refused(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiableError):
        byte_range(header, size)
