"""Attempts: their facts, their artifacts, what they reserve, and their end."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import NotFoundError, Problem
from app.models.attempts import Artifact, Attempt, Outcome, Reservation
from app.models.columns import now
from app.models.common import Json
from app.models.imports import AttemptPublic, VmImport


async def current(session: AsyncSession, row: VmImport) -> Attempt | None:
    """The attempt that the import is at; None while it waits in the queue."""
    return await numbered(session, row.id, row.attempt)


async def fresh(session: AsyncSession, attempt_id: UUID) -> Attempt:
    """The attempt as it is now in the database. Raises NotFoundError."""
    attempt = await session.get(Attempt, attempt_id, populate_existing=True)
    if attempt is None:
        raise NotFoundError(f"There is no attempt {attempt_id}.")
    return attempt


async def numbered(session: AsyncSession, import_id: UUID, number: int) -> Attempt | None:
    statement = select(Attempt).where(col(Attempt.import_id) == import_id, col(Attempt.number) == number)
    return (await session.execute(statement)).scalar_one_or_none()


async def of_imports(session: AsyncSession, import_ids: list[UUID]) -> dict[UUID, list[Attempt]]:
    """The attempts of each import, in order."""
    statement = select(Attempt).where(col(Attempt.import_id).in_(import_ids)).order_by(col(Attempt.number))
    attempts: dict[UUID, list[Attempt]] = {import_id: [] for import_id in import_ids}
    for attempt in (await session.execute(statement)).scalars():
        attempts[attempt.import_id].append(attempt)
    return attempts


async def begin(
    session: AsyncSession, row: VmImport, *, proxy_host_id: UUID, storage_domain_id: UUID, work_bytes: int
) -> Reservation:
    """A new attempt on the host that was chosen, and the slot that it holds."""
    attempt = Attempt(
        import_id=row.id,
        number=row.attempt,
        proxy_host_id=proxy_host_id,
        storage_domain_id=storage_domain_id,
    )
    session.add(attempt)
    await session.flush()
    held = Reservation(
        attempt_id=attempt.id,
        import_id=row.id,
        proxy_host_id=proxy_host_id,
        storage_domain_id=storage_domain_id,
        provider_id=row.provider_id,
        work_bytes=work_bytes,
    )
    session.add(held)
    return held


async def end(
    session: AsyncSession, attempt: Attempt, outcome: Outcome, problem: Problem | None = None
) -> None:
    """The attempt is over: what it reserved is free again."""
    attempt.outcome, attempt.problem = outcome, problem
    attempt.finished_at, attempt.followed = now(), False
    await session.execute(delete(Reservation).where(col(Reservation.attempt_id) == attempt.id))


def learn(attempt: Attempt, **facts: Any) -> None:
    """Keep facts (plain JSON values) that later steps and turns need."""
    attempt.facts = {**attempt.facts, **facts}


async def record(session: AsyncSession, attempt: Attempt, kind: str, details: Json) -> None:
    """Record what will be made, before it is made; the same kind is recorded once an attempt."""
    if await artifact(session, attempt.id, kind) is None:
        session.add(Artifact(attempt_id=attempt.id, kind=kind, details=details))


async def artifact(session: AsyncSession, attempt_id: UUID, kind: str) -> Artifact | None:
    statement = select(Artifact).where(col(Artifact.attempt_id) == attempt_id, col(Artifact.kind) == kind)
    return (await session.execute(statement)).scalar_one_or_none()


async def forget(session: AsyncSession, attempt_id: UUID, kind: str) -> None:
    """What was made is removed, or belongs to the VM now."""
    await session.execute(
        delete(Artifact).where(col(Artifact.attempt_id) == attempt_id, col(Artifact.kind) == kind)
    )


async def left_behind(session: AsyncSession, row: VmImport) -> list[Attempt]:
    """Earlier attempts of the import that kept something (`keep_on_failure`), newest first."""
    statement = (
        select(Attempt)
        .where(
            col(Attempt.import_id) == row.id,
            col(Attempt.number) < row.attempt,
            col(Attempt.id).in_(select(col(Artifact.attempt_id))),
        )
        .order_by(col(Attempt.number).desc())
    )
    return list((await session.execute(statement)).scalars())


async def reservation(session: AsyncSession, attempt_id: UUID) -> Reservation | None:
    return await session.get(Reservation, attempt_id)


async def running_on(session: AsyncSession, host_ids: list[UUID]) -> dict[UUID, int]:
    """How many imports each proxy host runs."""
    statement = (
        select(col(Reservation.proxy_host_id), func.count())
        .where(col(Reservation.proxy_host_id).in_(host_ids))
        .group_by(col(Reservation.proxy_host_id))
    )
    counted = dict((await session.execute(statement)).all())
    return {host_id: counted.get(host_id, 0) for host_id in host_ids}


def public(attempt: Attempt) -> AttemptPublic:
    return AttemptPublic(
        number=attempt.number,
        proxy_host_id=attempt.proxy_host_id,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        outcome=attempt.outcome,
        problem=attempt.problem,
    )
