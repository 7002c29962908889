"""Damaged rows: members that can't be read are told apart, and stand for nothing that is there.

A value may be damaged, or written by a newer version of the program. A row with such a value loads all the
same: in its place stands what the column says, its default, or none. What is saved stays as it is until
something else is saved there.
"""

from collections.abc import Iterable
from typing import Any, Final

from pydantic_core import PydanticUndefined
from sqlalchemy import Column, event
from sqlalchemy import inspect as state_of
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.attributes import flag_modified, set_committed_value
from sqlmodel import SQLModel

from app import logs
from app.models.columns import Guarded, Unreadable

_KEY: Final = "damage"
MOST_REMEMBERED: Final = 1000

log = logs.get("records")
_told: set[tuple[str, str, str]] = set()


def damage(row: SQLModel) -> frozenset[str]:
    """The row's members that can't be read."""
    found: frozenset[str] = state_of(row).info.get(_KEY, frozenset())
    return found


def mend(row: SQLModel, names: Iterable[str]) -> None:
    """Save what stands in the place of these members, instead of what can't be read."""
    for name in names:
        flag_modified(row, name)


def watch(table: type[SQLModel]) -> None:
    """Look at every row of the table that is loaded."""
    columns = {column.key: column for column in table.__table__.columns}  # type: ignore[attr-defined]  # SQLModel doesn't declare it
    guarded = {name: column for name, column in columns.items() if isinstance(column.type, Guarded)}

    def loaded(row: SQLModel, _: object) -> None:
        _look(row, guarded, guarded)

    def refreshed(row: SQLModel, _: object, names: Iterable[str] | None) -> None:
        _look(row, guarded, guarded if names is None else set(names) & set(guarded))

    event.listen(table, "load", loaded)
    event.listen(table, "refresh", refreshed)


def _look(row: SQLModel, columns: dict[str, Column[Any]], names: Iterable[str]) -> None:
    state: InstanceState[SQLModel] = state_of(row)
    found = set(damage(row))
    for name in names:
        value = state.dict.get(name, PydanticUndefined)
        if isinstance(value, Unreadable) or (value is None and not columns[name].nullable):
            set_committed_value(row, name, _stand_in(row, columns[name]))
            _tell(row, name)
            found.add(name)
        else:
            found.discard(name)
    state.info[_KEY] = frozenset(found)


def _stand_in(row: SQLModel, column: Column[Any]) -> Any:
    if column.nullable:
        return None
    value = column.type.stand_in() if isinstance(column.type, Guarded) else None
    if value is not None:
        return value
    return type(row).model_fields[column.key].get_default(call_default_factory=True)


def _tell(row: SQLModel, name: str) -> None:
    """Once a process and member, for an operator to see; what lies there may be a secret."""
    identity = str(state_of(row).identity)
    key = (str(type(row).__name__), identity, name)
    if key in _told or len(_told) >= MOST_REMEMBERED:
        return
    _told.add(key)
    log.error("record.unreadable", table=key[0], id=identity, member=name)
