"""What can't be read of a saved row, as a problem to those who look at it or need it."""

from collections.abc import Iterable
from typing import Final

from sqlmodel import SQLModel

from app.errors import Problem, RecordUnreadableError
from app.models.attempts import Attempt
from app.models.damage import damage
from app.models.imports import ConversionWarning, VmImport
from app.services.specs import spec_from_row

DECISIVE: Final = frozenset({"spec", "state", "step", "direction", "excluded_host_ids", "facts"})
"""Without these an import can't go on; what is only shown begins anew."""


def check(what: str, row: SQLModel, names: Iterable[str]) -> None:
    """Raises RecordUnreadableError when one of these members can't be read."""
    if found := damage(row) & set(names):
        raise _error(what, found)


def problem(what: str, row: SQLModel) -> Problem | None:
    """What can't be read of the row, if anything."""
    return _error(what, found).to_problem() if (found := damage(row)) else None


def _error(what: str, names: Iterable[str]) -> RecordUnreadableError:
    return RecordUnreadableError(f"Of the record of {what}, this can't be read: {', '.join(sorted(names))}.")


# --- imports ---------------------------------------------------------------------------------------------


def fault(row: VmImport, attempt: Attempt | None = None) -> RecordUnreadableError | None:
    """Why the import can't go on, if its records are such."""
    found = damage(row) | (damage(attempt) if attempt is not None else frozenset())
    if found & DECISIVE:
        return _error(f"import {row.id}", found & DECISIVE)
    try:
        spec_from_row(row.spec, {})
    except RecordUnreadableError as error:
        return error
    return None


def warning(row: VmImport) -> ConversionWarning | None:
    """That something of the import was lost which is only shown."""
    found = damage(row) - DECISIVE
    if not found:
        return None
    error = _error(f"import {row.id}", found)
    return ConversionWarning(code=error.code, message=error.detail)
