"""Cursors come back as they went, and anything else is malformed."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidCursorError
from app.events.cursor import NOWHERE, Cursor, EventId

EPOCH = "0123456789abcdef"


@pytest.mark.parametrize(
    "cursor",
    [
        Cursor(EPOCH, EventId(1, 2)),
        Cursor(EPOCH, EventId(1_700_000_000_000, 0), partial=True),
        Cursor(EPOCH, EventId(0, 0), final_version=7),
        NOWHERE,
    ],
)
def test_a_cursor_comes_back_as_it_went(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ä",
        "not base64!",
        base64.urlsafe_b64encode(b"elsewhere.1-2").decode(),
        base64.urlsafe_b64encode(f"{EPOCH}.1-2.q".encode()).decode(),
        base64.urlsafe_b64encode(f"{EPOCH}.-1-2".encode()).decode(),
        base64.urlsafe_b64encode(f"{EPOCH}.{'9' * 19}-2".encode()).decode(),
        base64.urlsafe_b64encode(f"{EPOCH}.1-2\n".encode()).decode(),
        "A" * 10_000,
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(InvalidCursorError):
        Cursor.parse(text)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except InvalidCursorError:
        return
    assert Cursor.parse(str(cursor)) == cursor
