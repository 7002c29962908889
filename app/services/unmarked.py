"""What was made for VMs whose imports were given up in their last step, which takes the marks off."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.models.attempts import Artifact, Attempt
from app.models.common import Json
from app.models.imports import VmImport
from app.models.state import LIVE, StepName
from app.models.storage_domains import StorageDomain
from app.services import attempts, turns

MARKED_AGAIN: Final = "marked_again"
"""The fact of an attempt that says so."""


@dataclass(frozen=True)
class Unmarked:
    """What an attempt had made on a storage domain: its marks may be gone, though it is nobody's."""

    attempt_id: UUID
    turn: int
    proxy_host_id: UUID | None
    domain: StorageDomain
    plan: Json


async def of_imports(session: AsyncSession, import_id: UUID | None = None) -> list[Unmarked]:
    """Of all imports, or of the one."""
    statement = (
        select(Attempt, VmImport, Artifact, StorageDomain)
        .join(VmImport, col(VmImport.id) == col(Attempt.import_id))
        .join(Artifact, col(Artifact.attempt_id) == col(Attempt.id))
        .join(StorageDomain, col(StorageDomain.id) == col(Attempt.storage_domain_id))
        .where(
            col(Attempt.abandoned),
            col(Attempt.number) == col(VmImport.attempt),
            col(VmImport.step) == StepName.RELEASE_TARGET,
            col(VmImport.state).not_in(LIVE),
            col(Artifact.kind) == "target",
        )
    )
    if import_id is not None:
        statement = statement.where(col(VmImport.id) == import_id)
    return [
        Unmarked(attempt.id, row.turn, attempt.proxy_host_id, domain, made.details)
        for attempt, row, made, domain in (await session.execute(statement)).all()
        if MARKED_AGAIN not in attempt.facts
    ]


async def marked_again(session: AsyncSession, attempt_id: UUID) -> None:
    """Once is enough: a mark that is gone later was taken off by somebody else."""
    attempt = await session.get(Attempt, attempt_id)
    row = await turns.locked(session, attempt.import_id) if attempt is not None else None
    if attempt is not None and row is not None:
        attempts.learn(attempt, **{MARKED_AGAIN: True})
