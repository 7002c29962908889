"""The event reader: what the standard says, for every way the bytes may be split."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.cli.sse import EventReader, ServerEvent

STREAM = (
    "\ufeffretry: 1500\n"
    ": a comment\n\n"
    'id: 1-0\nevent: snapshot\ndata: {"imports":\ndata: []}\n\n'
    "event: progress\r\ndata:x\r\n\r\n"
    "id: 2-0\rdata: grüße 🚚\r\r"
    "event: without data\n\n"
    "id: bad\0id\ndata: end\nunknown: field\ndata\n\n"
    "data: never finished"
).encode()
EVENTS = [
    ServerEvent("snapshot", '{"imports":\n[]}', "1-0"),
    ServerEvent("progress", "x", "1-0"),
    ServerEvent("message", "grüße 🚚", "2-0"),
    ServerEvent("message", "end\n", "2-0"),
]


def read(pieces: list[bytes]) -> list[ServerEvent]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)]


def test_a_whole_stream_gives_its_events() -> None:
    assert read([STREAM]) == EVENTS


def test_byte_by_byte_gives_the_same_events() -> None:
    assert read([STREAM[at : at + 1] for at in range(len(STREAM))]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read([STREAM[start:end] for start, end in pairwise(edges)]) == EVENTS


def test_an_event_comes_as_soon_as_its_empty_line() -> None:
    reader = EventReader()
    assert reader.feed(b"data: 1\r") == []
    assert reader.feed(b"\n\r") == [ServerEvent("message", "1", None)]
    assert reader.feed(b"\ndata: 2\n\n") == [ServerEvent("message", "2", None)]


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert read([b"data: a\xffb\n\n"]) == [ServerEvent("message", "a\ufffdb", None)]


def test_the_servers_wish_for_reconnects_is_kept() -> None:
    reader = EventReader()
    reader.feed(b"retry: soon\nretry: 1500\n")
    assert reader.retry_seconds == 1.5
