"""VM names: unique in a data center, held by a live import and then by its VM."""

import unicodedata
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import FieldError, InvalidNameError, NameInUseError
from app.models.vms import VmName

LONGEST = 255


def check(name: str) -> str:
    """The name itself, when a VM may bear it. Raises InvalidNameError."""
    reason = _fault(name)
    if reason is None:
        return name
    detail = f"{name[:LONGEST]!r} {reason}."
    raise InvalidNameError(
        detail, errors=(FieldError(pointer="/vm/name", code="invalid_name", detail=detail),)
    )


def _fault(name: str) -> str | None:
    if not 1 <= len(name) <= LONGEST or not name.strip():
        return "is empty or too long"
    if name in {".", ".."} or "/" in name:
        return "could be taken for a path"
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in name):
        return "holds control characters"
    return None


async def check_free(session: AsyncSession, data_center_id: UUID, name: str) -> None:
    """Raises InvalidNameError, NameInUseError."""
    check(name)
    if await _holder(session, data_center_id, name) is not None:
        raise _in_use(name)


async def _holder(session: AsyncSession, data_center_id: UUID, name: str) -> VmName | None:
    statement = select(VmName).where(col(VmName.data_center_id) == data_center_id, col(VmName.name) == name)
    return (await session.execute(statement)).scalar_one_or_none()


def _in_use(name: str) -> NameInUseError:
    detail = f"A VM or a live import in this data center is named {name!r}."
    fault = FieldError(pointer="/vm/name", code="name_in_use", detail=detail)
    return NameInUseError(detail, errors=(fault,))


async def reserve(session: AsyncSession, data_center_id: UUID, name: str, import_id: UUID) -> None:
    """Hold a name for an import; holding it already is fine. Raises InvalidNameError, NameInUseError."""
    check(name)
    held = await _holder(session, data_center_id, name)
    if held is not None and held.import_id == import_id:
        return
    try:
        async with session.begin_nested():
            session.add(VmName(data_center_id=data_center_id, name=name, import_id=import_id))
    except IntegrityError as error:
        raise _in_use(name) from error


async def release(session: AsyncSession, import_id: UUID) -> None:
    """Give back what the import held; a name that its VM bears stays."""
    await session.execute(
        delete(VmName).where(col(VmName.import_id) == import_id, col(VmName.vm_id).is_(None))
    )


async def hand_over(session: AsyncSession, import_id: UUID, vm_id: UUID) -> None:
    """The import's name is its VM's from now on."""
    await session.execute(
        update(VmName).where(col(VmName.import_id) == import_id).values(vm_id=vm_id, import_id=None)
    )
