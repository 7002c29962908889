"""Cursors: where a client stands in the events, opaque to it."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from app.errors import InvalidCursorError

PARTIAL: Final = "p"
LONGEST: Final = 200
_FORM: Final = re.compile(r"([0-9a-f]{16})\.(\d{1,18})-(\d{1,18})(?:\.(p|\d{1,18}))?", re.ASCII)


class EventId(NamedTuple):
    """An entry's id in Redis's streams; ids grow."""

    ms: int
    n: int

    @classmethod
    def parse(cls, text: bytes) -> "EventId":
        ms, _, n = text.partition(b"-")
        return cls(int(ms), int(n))

    def __str__(self) -> str:
        return f"{self.ms}-{self.n}"


START: Final = EventId(0, 0)


@dataclass(frozen=True)
class Cursor:
    """The last event that a client has seen, in one filling of Redis (`epoch`)."""

    epoch: str
    event_id: EventId
    partial: bool = False
    """The client has only a part of a snapshot: it needs the whole again."""
    final_version: int | None = None
    """The version of the import that had ended with this event."""

    def __str__(self) -> str:
        mark = PARTIAL if self.partial else self.final_version
        text = f"{self.epoch}.{self.event_id}" + ("" if mark is None else f".{mark}")
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises InvalidCursorError."""
        found = _FORM.fullmatch(_decoded(text))
        if found is None:
            raise InvalidCursorError
        epoch, ms, n, mark = found.groups()
        partial = mark == PARTIAL
        final = None if mark is None or partial else int(mark)
        return cls(epoch, EventId(int(ms), int(n)), partial=partial, final_version=final)


NOWHERE: Final = Cursor("0" * 16, START, partial=True)
"""Before anything was told."""


def _decoded(text: str) -> str:
    if len(text) > LONGEST:
        return ""
    try:
        padded = (text + "=" * (-len(text) % 4)).encode("ascii")
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError):
        return ""
