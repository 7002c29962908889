"""Damages rows as a broken disk, a careless hand or a newer version of the program would."""

import json
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, literal_column, select, update
from sqlmodel import SQLModel

from app.db import Database
from app.models.columns import Guarded, Typed, UtcDateTime, Word
from app.models.tables import TABLES

OTHER_SHAPE, OTHER_MEMBERS, NOTHING, CUT_OFF = '"garbage"', '[{"unknown": 1}]', "null", '{"a": '
BAD_TIME, NEWER_WORD = "yesterday", "of_a_newer_version"


def guarded_columns() -> list[Column[Any]]:
    """Every column of every table that may hold what can't be read."""
    tables = [table.__table__ for table in TABLES]  # type: ignore[attr-defined]  # SQLModel doesn't declare it
    return [column for table in tables for column in table.columns if isinstance(column.type, Guarded)]


def column_of(table: type[SQLModel], name: str) -> Column[Any]:
    column: Column[Any] = table.__table__.columns[name]  # type: ignore[attr-defined]  # as above
    return column


def garbage(column: Column[Any], *, is_sqlite: bool) -> list[str]:
    """What may lie there: PostgreSQL itself keeps no broken JSON and no broken time."""
    if isinstance(column.type, UtcDateTime):
        return [BAD_TIME] if is_sqlite else []
    if isinstance(column.type, Typed):
        return [CUT_OFF, OTHER_MEMBERS] if is_sqlite else [OTHER_SHAPE, NOTHING]
    return [NEWER_WORD] if isinstance(column.type, Word) else []


class Damage:
    """One member of one row, which is overwritten past all that guards it, and may be put back."""

    def __init__(self, database: Database, column: Column[Any], *identity: Any) -> None:
        """Without an identity, the member of the table's first row."""
        self._database, self._column, self._identity = database, column, identity
        self._was: Any = None

    async def do(self, value: object) -> None:
        """`value` is text as it lies there, or anything that JSON can say."""
        keys = list(self._column.table.primary_key.columns)
        statement = select(*keys, self._column).order_by(*keys)
        if self._identity:
            statement = statement.where(self._is_row())
        async with self._database.reading() as session:
            *identity, self._was = (await session.execute(statement.limit(1))).one()
        self._identity = tuple(identity)
        text = value if isinstance(value, str) else json.dumps(value)
        await self._write(literal_column("'" + text.replace("'", "''") + "'"))

    async def undo(self) -> None:
        await self._write(self._was)

    async def _write(self, value: object) -> None:
        async with self._database.session() as session:
            statement = update(self._column.table).where(self._is_row())
            await session.execute(statement.values({self._column: value}))

    def _is_row(self) -> ColumnElement[bool]:
        keys = self._column.table.primary_key.columns
        return and_(*(key == part for key, part in zip(keys, self._identity, strict=True)))
