"""Single byte ranges of a text that may still grow (RFC 9110, section 14)."""

import re
from dataclasses import dataclass
from typing import Final

from app.errors import RangeNotSatisfiableError

_RANGE: Final = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class ByteRange:
    """Bytes [start, end) of a text of `size` bytes; `is_part`: the client asked for a range."""

    start: int
    end: int
    size: int
    is_part: bool

    @property
    def status(self) -> int:
        return 206 if self.is_part else 200

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(self.end - self.start)}
        if self.is_part:
            headers["Content-Range"] = f"bytes {self.start}-{self.end - 1}/{self.size}"
        return headers


def byte_range(header: str | None, size: int) -> ByteRange:
    """What a `Range` header asks for; the whole when there is none or it isn't one byte range.

    Raises RangeNotSatisfiableError when nothing of the range is there (yet).
    """
    found = _RANGE.fullmatch((header or "").strip())
    if found is None or not any(found.groups()):
        return ByteRange(0, size, size, is_part=False)
    first, last = found.groups()
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if first and last and int(last) < int(first):
        return ByteRange(0, size, size, is_part=False)
    if start >= end:
        raise RangeNotSatisfiableError(f"The text has {size} bytes now.")
    return ByteRange(start, end, size, is_part=True)
