"""However the bytes of virt-v2v's output come, and wherever a reader begins anew: the same is told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.v2v.output import LONGEST_LINE, OutputReader, Said
from tests.support.logs import LOGS, OLD, read, read_pieces

SAMPLES = [(path.read_bytes(), True) for path in LOGS]
SAMPLES += [(data, False) for data, _ in SAMPLES] + [(OLD, False)]


@st.composite
def split(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@given(st.data(), st.sampled_from(SAMPLES))
def test_any_split_of_the_bytes_tells_the_same(data: st.DataObject, sample: tuple[bytes, bool]) -> None:
    log_bytes, machine_readable = sample
    pieces = data.draw(split(log_bytes))
    reader = OutputReader(machine_readable=machine_readable)
    assert read_pieces(pieces, reader) == read(log_bytes, machine_readable=machine_readable)


@pytest.mark.parametrize(("log_bytes", "machine_readable"), SAMPLES)
def test_one_byte_after_the_other_tells_the_same(log_bytes: bytes, machine_readable: bool) -> None:
    pieces = [log_bytes[index : index + 1] for index in range(len(log_bytes))]
    reader = OutputReader(machine_readable=machine_readable)
    assert read_pieces(pieces, reader) == read(log_bytes, machine_readable=machine_readable)


@given(st.data(), st.sampled_from(SAMPLES))
def test_a_new_reader_goes_on_where_the_old_one_stopped(
    data: st.DataObject, sample: tuple[bytes, bool]
) -> None:
    log_bytes, machine_readable = sample
    first = OutputReader(machine_readable=machine_readable)
    begun = first.feed(log_bytes[: data.draw(st.integers(0, len(log_bytes)))])
    second = OutputReader(machine_readable=machine_readable, disk=first.disk, of=first.of)
    rest = read_pieces(data.draw(split(log_bytes[begun.consumed :])), second)
    whole = read(log_bytes, machine_readable=machine_readable)
    assert begun.events + rest.events == whole.events
    assert begun.kept + rest.kept == whole.kept
    assert begun.consumed + rest.consumed == len(log_bytes)


LINES = st.sampled_from(
    [
        b"",
        b"virt-v2v: error: one",
        b"more of it",
        b"virt-v2v: warning: two",
        b"[  1.0] Copying disk 1/2",
        "▐   8% [****]".encode(),
        b"If reporting bugs, ...",
        b'{"type": "error", "message": "three"}',
        b"x" * (LONGEST_LINE - 1),
        b"x" * LONGEST_LINE,
        b"x" * (LONGEST_LINE + 1),
    ]
)


@given(
    st.data(), st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=8), st.booleans()
)
def test_any_lines_tell_the_same_however_they_come(
    data: st.DataObject, lines: list[tuple[bytes, bytes]], machine_readable: bool
) -> None:
    log_bytes = b"".join(line + end for line, end in lines)
    reader = OutputReader(machine_readable=machine_readable)
    whole = read(log_bytes, machine_readable=machine_readable)
    assert read_pieces(data.draw(split(log_bytes)), reader) == whole
    assert whole.consumed == len(log_bytes)


@given(st.lists(st.binary(max_size=200), max_size=5), st.booleans())
def test_garbage_never_raises(pieces: list[bytes], machine_readable: bool) -> None:
    reader = OutputReader(machine_readable=machine_readable, disk=1, of=1)
    assert read_pieces(pieces, reader).consumed == sum(map(len, pieces))


@given(st.text(max_size=100))
def test_whatever_a_message_says_can_be_encoded(text: str) -> None:
    line = json.dumps({"message": text, "type": "error"}).encode() + b"\n"
    for event in read(line).events:
        assert isinstance(event, Said)
        assert "\0" not in event.text.encode().decode()
