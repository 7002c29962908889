"""Column types and defaults that every table shares."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, TypeAdapter, WithJsonSchema
from sqlalchemy import JSON, DateTime, Dialect
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


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times on both databases (SQLite keeps none of the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else _as_utc(value)


T = TypeVar("T")


class Typed(TypeDecorator[T], Generic[T]):
    """A JSON column that holds one validated type. Replace its value, never edit it in place."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def __init__(self, kind: type[T]) -> None:
        super().__init__()
        self.kind = kind
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)

    def process_bind_param(self, value: T | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else self._adapter.dump_python(value, mode="json")

    def process_result_value(self, value: Any, dialect: Dialect) -> T | None:  # noqa: ARG002
        return None if value is None else self._adapter.validate_python(value)
