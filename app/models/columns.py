"""Column types and defaults that every table shares."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, TypeAdapter, WithJsonSchema
from sqlalchemy import JSON, DateTime, Dialect, String
from sqlalchemy.types import TypeDecorator
from uuid_utils.compat import uuid7

RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def new_id() -> UUID:
    """A UUID version 7: ids sort by the time they were made."""
    return uuid7()


def now() -> datetime:
    return datetime.now(UTC)


def _as_utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time lies outside the years 1 to 9999") from error


def _is_time(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and RFC3339.fullmatch(value)):
        return value
    raise ValueError("give a time with its offset, such as `2026-01-02T03:04:05Z` (RFC 3339)")


def _as_rfc3339(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


UtcTime = Annotated[
    datetime,
    BeforeValidator(_is_time),
    AfterValidator(_as_utc),
    PlainSerializer(_as_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An aware time in UTC, written as RFC 3339 with a `Z`."""


T = TypeVar("T")
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Unreadable:
    """What a column answers instead of a value that is not of its type: one such must not fail a whole query.

    Rows never show it: `models.damage` puts the column's stand-in in its place, and remembers that.
    """

    why: str


class Guarded(TypeDecorator[T], Generic[T]):
    """A column of ours, whose values may turn out to be unreadable."""

    def stand_in(self) -> T | None:
        """What stands for a value that must be there and can't be read; None: the member's default does."""
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        read = super().result_processor(dialect, coltype)
        if read is None:
            return None

        def guarded(value: Any) -> Any:
            try:
                return read(value)
            except (ValueError, TypeError, RecursionError) as error:
                return Unreadable(str(error))

        return guarded


class UtcDateTime(Guarded[datetime]):
    """Aware UTC times on both databases (SQLite keeps none of the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def stand_in(self) -> datetime:
        return LONG_AGO

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else _as_utc(value)


class Word(Guarded[StrEnum]):
    """A text column that holds one of a few words. A newer version of the program may know more of them."""

    impl = String
    cache_ok = True

    def __init__(self, kind: type[StrEnum], otherwise: StrEnum | None = None) -> None:
        super().__init__()
        self.kind, self.otherwise = kind, otherwise

    def stand_in(self) -> StrEnum | None:
        return self.otherwise

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:  # noqa: ARG002
        return None if value is None else self.kind(value)


class Typed(Guarded[T], Generic[T]):
    """A JSON column that holds one validated type. Replace its value, never edit it in place."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def __init__(self, kind: type[T], otherwise: Callable[[], T] | None = None) -> None:
        super().__init__()
        self.kind, self.otherwise = kind, otherwise
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def stand_in(self) -> T | None:
        return None if self.otherwise is None else self.otherwise()

    def process_bind_param(self, value: T | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else self._adapter.dump_python(value, mode="json")

    def process_result_value(self, value: Any, dialect: Dialect) -> T | None:  # noqa: ARG002
        return None if value is None else self._adapter.validate_python(value)
