"""Who uses a resource: what may not be taken from under a live import or a VM."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, String, cast, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import InUseError
from app.models.common import Json
from app.models.imports import VmImport
from app.models.state import LIVE
from app.models.vms import Vm

MOST_NAMED = 20


def names(column: Json, member: str, id_: UUID) -> ColumnElement[bool]:
    """Whether a JSON column names the id, by its text: one damaged value must not fail the query."""
    return cast(col(column), String).contains(f'"{member}": "{id_}"', autoescape=True)


async def live_imports(session: AsyncSession, where: ColumnElement[bool]) -> list[str]:
    """Live imports that fit, named for people."""
    statement = select(col(VmImport.id)).where(col(VmImport.state).in_(LIVE), where).limit(MOST_NAMED)
    return [f"import {import_id}" for import_id in (await session.execute(statement)).scalars()]


async def vms(session: AsyncSession, where: ColumnElement[bool]) -> list[str]:
    """VMs that fit, named for people."""
    statement = select(col(Vm.name), col(Vm.id)).where(where).limit(MOST_NAMED)
    return [f"VM {name!r} ({vm_id})" for name, vm_id in (await session.execute(statement)).all()]


def refuse(what: str, users: Sequence[str]) -> None:
    """Raises InUseError when there are any."""
    if users:
        raise InUseError(f"The {what} is used by {', '.join(users)}.")
