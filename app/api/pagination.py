"""Pages: opaque cursors, newest first."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar
from uuid import UUID

from fastapi import Depends, Query

from app.errors import InvalidCursorError
from app.models.common import NoNul, Page

LIMIT: Final = 100
HIGHEST_LIMIT: Final = 1000
CURSOR_PATTERN: Final = "^[A-Za-z0-9_-]{21}[AQgw]$"
"""What 16 bytes look like; for the document alone, since a malformed cursor is 400 rather than 422."""

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class PageQuery:
    """Which page a client wants: at most `limit` items older than `before`."""

    limit: int
    before: UUID | None

    @property
    def with_one_more(self) -> int:
        """How many to read, so that it shows whether another page follows."""
        return self.limit + 1


def _page_query(
    limit: Annotated[int, Query(ge=1, le=HIGHEST_LIMIT, description="Items a page.")] = LIMIT,
    cursor: Annotated[
        str | None,
        Query(description="`next_cursor` of the page before.", json_schema_extra={"pattern": CURSOR_PATTERN}),
    ] = None,
) -> PageQuery:
    return PageQuery(limit, None if cursor is None else from_cursor(cursor))


PageDep = Annotated[PageQuery, Depends(_page_query)]
NameQuery = Annotated[str | None, Query(max_length=255, description="Only those of this name."), NoNul]


def to_cursor(last: UUID) -> str:
    return base64.urlsafe_b64encode(last.bytes).rstrip(b"=").decode()


def from_cursor(cursor: str) -> UUID:
    """Raises InvalidCursorError for what `to_cursor` never gave."""
    try:
        last = UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error) as error:
        raise InvalidCursorError from error
    if to_cursor(last) != cursor:
        raise InvalidCursorError
    return last


def to_text_cursor(*parts: str) -> str:
    """For lists that go by texts rather than ids."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


def from_text_cursor(cursor: str) -> tuple[str, str]:
    """Raises InvalidCursorError for what `to_text_cursor` never gave of two texts."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError) as error:
        raise InvalidCursorError from error
    match parts:
        case [str(first), str(second)] if "\0" not in first + second:
            if to_text_cursor(first, second) == cursor:
                return first, second
    raise InvalidCursorError


def page_of(
    found: Sequence[S], query: PageQuery, *, show: Callable[[S], T], key: Callable[[S], UUID]
) -> Page[T]:
    """The page out of up to `query.with_one_more` items."""
    shown = found[: query.limit]
    more = len(found) > query.limit
    return Page(items=[show(item) for item in shown], next_cursor=to_cursor(key(shown[-1])) if more else None)
