"""Resources whose names are unique: added and changed, with the clash told as what it is."""

from typing import Protocol, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import FieldError, NameInUseError
from app.models.common import Json


class Named(Protocol):
    """A row with a unique name, and a version that counts its changes."""

    name: str
    version: int


N = TypeVar("N", bound=Named)


async def add(session: AsyncSession, row: N) -> N:
    """Raises NameInUseError."""
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise _in_use(row.name) from error
    return row


async def change(session: AsyncSession, row: Named, given: Json) -> None:
    """Set the members that differ and count that as one change. Raises NameInUseError."""
    changed = {name: value for name, value in given.items() if getattr(row, name) != value}
    if not changed:
        return
    try:
        async with session.begin_nested():
            for name, value in changed.items():
                setattr(row, name, value)
            row.version += 1
    except IntegrityError as error:
        raise _in_use(str(changed.get("name"))) from error


def _in_use(name: str) -> NameInUseError:
    detail = f"Another one is named {name!r}."
    return NameInUseError(detail, errors=(FieldError(pointer="/name", code="name_in_use", detail=detail),))
