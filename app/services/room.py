"""Room: the bytes that attempts hold on proxy hosts and storage domains, and the line of those who wait.

What waits holds nothing, or two that wait for each other would wait for ever. Those who came later may take
room that is too little for it; but once it has waited for OVERTAKEN_SECONDS, its bytes are kept for it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db import lock_admission
from app.models.attempts import Attempt, Reservation
from app.models.columns import now
from app.services import attempts, uploads
from app.services.waiting import OVERTAKEN_SECONDS

FACT: Final = "room"
"""What an attempt waits for: the bytes, and since when."""


@dataclass(frozen=True)
class Room:
    """Bytes in the work directory of a proxy host, and on a storage domain."""

    work: int
    target: int


async def ask(session: AsyncSession, attempt_id: UUID, needed: Room) -> Room:
    """Hold so much. Answers what others hold, or have waited for too long, in the same places."""
    await lock_admission(session)
    own = await attempts.reservation(session, attempt_id)
    if own is None:
        return Room(0, 0)
    own.work_bytes, own.target_bytes = needed.work, needed.target
    await session.flush()
    since = _since(await attempts.fresh(session, attempt_id))
    work, target = (await uploads.outstanding(session))[own.proxy_host_id], 0
    for other, attempt in await _others(session, own):
        counted = _counted(other, attempt, ahead_of=since)
        if other.proxy_host_id == own.proxy_host_id:
            work += counted.work
        if other.storage_domain_id == own.storage_domain_id:
            target += counted.target
    return Room(work, target)


async def wait(session: AsyncSession, attempt_id: UUID, needed: Room) -> None:
    """Hold nothing, and keep one's place in the line."""
    own = await attempts.reservation(session, attempt_id)
    if own is None:
        return
    own.work_bytes = own.target_bytes = 0
    attempt = await attempts.fresh(session, attempt_id)
    since = _since(attempt) or now()
    line = {"work_bytes": needed.work, "target_bytes": needed.target, "since": since.isoformat()}
    attempts.learn(attempt, **{FACT: line})


async def _others(session: AsyncSession, own: Reservation) -> list[tuple[Reservation, Attempt]]:
    same = (col(Reservation.proxy_host_id) == own.proxy_host_id) | (
        col(Reservation.storage_domain_id) == own.storage_domain_id
    )
    statement = (
        select(Reservation, Attempt)
        .join(Attempt, col(Attempt.id) == col(Reservation.attempt_id))
        .where(same, col(Reservation.attempt_id) != own.attempt_id)
    )
    return [(other, attempt) for other, attempt in (await session.execute(statement)).all()]


def _counted(other: Reservation, attempt: Attempt, *, ahead_of: datetime | None) -> Room:
    """What it holds; of one that waits, what is kept for it."""
    since = _since(attempt)
    if other.work_bytes > 0 or since is None:
        return Room(other.work_bytes, other.target_bytes)
    is_overdue = now() - since >= timedelta(seconds=OVERTAKEN_SECONDS)
    if is_overdue and (ahead_of is None or since < ahead_of):
        return Room(attempt.facts[FACT]["work_bytes"], attempt.facts[FACT]["target_bytes"])
    return Room(0, 0)


def _since(attempt: Attempt) -> datetime | None:
    line = attempt.facts.get(FACT)
    return datetime.fromisoformat(line["since"]) if line else None
