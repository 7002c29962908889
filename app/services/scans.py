"""Scans: asked for, taken by workers, ended, forgotten."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import (
    AppError,
    NotFoundError,
    RecordUnreadableError,
    ScanInterruptedError,
)
from app.models.columns import now
from app.models.proxy_hosts import ProxyHost
from app.models.scans import LIVE_SCANS, Scan, ScanState
from app.services import references, uploads, users
from app.services.scan_specs import (
    ScanCreate,
    ScanItem,
    ScanPublic,
    ScanSummaryPublic,
    items_from_row,
    source_from_row,
)
from app.sources.provider_vm import provider_id_in
from app.sources.scans import ScanSource

MOST_TURNS = 5
"""A scan whose workers died so often is not begun again: it may be what they die of."""


async def create(session: AsyncSession, body: ScanCreate, *, created_by: str) -> Scan:
    """Raises UnknownReferenceError, NoProxyHostError, UploadNotCompleteError, UnsupportedPropertyError."""
    host = await _host(session, body)
    row = Scan(
        proxy_host_id=host.id,
        source=body.source.model_dump(mode="json"),
        deep=body.deep,
        created_by=created_by,
    )
    session.add(row)
    await session.flush()
    return row


async def _host(session: AsyncSession, body: ScanCreate) -> ProxyHost:
    if ids := uploads.ids_in(body.source):
        host_id = await uploads.check_together(session, ids, host_id=body.proxy_host_id)
        return await references.proxy_host(session, host_id, "/source/upload_ids/0")
    named = body.proxy_host_id
    if (provider_id := provider_id_in(body.source)) is not None:
        provider = await references.provider(session, provider_id)
        named = named or provider.proxy_host_id
        if named is None:
            raise references.unknown("/proxy_host_id", "Give one: the provider is reached through none.")
    return await references.proxy_host(session, named, "/proxy_host_id")


async def get(session: AsyncSession, scan_id: UUID) -> Scan:
    """Raises NotFoundError."""
    return _there(await session.get(Scan, scan_id), scan_id)


async def get_locked(session: AsyncSession, scan_id: UUID) -> Scan:
    """As `get`, and nobody else changes it until the transaction ends."""
    return _there(await session.get(Scan, scan_id, with_for_update=True, populate_existing=True), scan_id)


def _there(row: Scan | None, scan_id: UUID) -> Scan:
    if row is None or row.forgotten:
        raise NotFoundError(f"There is no scan {scan_id}.")
    return row


async def page(
    session: AsyncSession,
    *,
    state: ScanState | None,
    proxy_host_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> list[Scan]:
    """Newest first; `before` is the last one of the page before."""
    statement = select(Scan).where(col(Scan.forgotten).is_(False)).order_by(col(Scan.id).desc())
    if state is not None:
        statement = statement.where(col(Scan.state) == state)
    if proxy_host_id is not None:
        statement = statement.where(col(Scan.proxy_host_id) == proxy_host_id)
    if before is not None:
        statement = statement.where(col(Scan.id) < before)
    return list((await session.execute(statement.limit(limit))).scalars())


async def forget(session: AsyncSession, row: Scan) -> None:
    """Clients don't see it any more. Who works on it stops, and then it is gone."""
    row.forgotten = True
    if row.worker_id is None and (row.turn == 0 or row.state not in LIVE_SCANS):
        await session.delete(row)


async def live_on(session: AsyncSession, host_id: UUID) -> list[str]:
    """Scans that make their proxy host needed, named for people."""
    statement = select(col(Scan.id)).where(
        col(Scan.proxy_host_id) == host_id, col(Scan.state).in_(LIVE_SCANS)
    )
    return [
        f"scan {scan_id}" for scan_id in (await session.execute(statement.limit(users.MOST_NAMED))).scalars()
    ]


async def live(session: AsyncSession, scan_ids: Sequence[UUID]) -> frozenset[UUID]:
    """Those of these that are scans which have not ended."""
    statement = select(col(Scan.id)).where(col(Scan.id).in_(scan_ids), col(Scan.state).in_(LIVE_SCANS))
    return frozenset((await session.execute(statement)).scalars())


# --- a worker's ------------------------------------------------------------------------------------------


async def is_any_waiting(session: AsyncSession) -> bool:
    return bool((await session.execute(select(exists().where(_waits())))).scalar())


async def take(session: AsyncSession, worker_id: UUID, limit: int) -> list[Scan]:
    """Scans that nobody works on, the oldest first: they are this worker's now."""
    statement = (
        select(Scan).where(_waits()).order_by(col(Scan.id)).limit(limit).with_for_update(skip_locked=True)
    )
    rows = list((await session.execute(statement)).scalars())
    for row in rows:
        row.worker_id, row.turn = worker_id, row.turn + 1
        row.started_at = row.started_at or now()
        _move(row, ScanState.RUNNING)
    return rows


def _waits() -> ColumnElement[bool]:
    return and_(col(Scan.state).in_(LIVE_SCANS), col(Scan.worker_id).is_(None))


def check_turns(row: Scan) -> None:
    """Raises ScanInterruptedError."""
    if row.turn > MOST_TURNS:
        raise ScanInterruptedError(f"{MOST_TURNS} workers ended while they looked.")


async def held_by(session: AsyncSession, worker_id: UUID) -> dict[UUID, bool]:
    """The scans of a worker, and whether each was forgotten."""
    statement = select(col(Scan.id), col(Scan.forgotten)).where(col(Scan.worker_id) == worker_id)
    return {row.id: row.forgotten for row in await session.execute(statement)}


async def give_back(session: AsyncSession, scan_ids: Sequence[UUID], worker_id: UUID) -> None:
    """The worker doesn't work on them, though it says so: its end could not be saved."""
    mine = and_(col(Scan.id).in_(scan_ids), col(Scan.worker_id) == worker_id)
    await session.execute(update(Scan).where(mine).values(worker_id=None))


async def end(
    session: AsyncSession,
    scan_id: UUID,
    turn: int,
    *,
    items: Sequence[ScanItem] = (),
    complete: bool = True,
    problem: AppError | None = None,
) -> None:
    """It is over, unless a newer turn has taken over; one that was forgotten is gone then."""
    row = await session.get(Scan, scan_id, with_for_update=True, populate_existing=True)
    if row is None or row.turn != turn:
        return
    if row.forgotten:
        await session.delete(row)
        return
    row.worker_id, row.finished_at = None, now()
    row.found, row.complete = tuple(item.model_dump(mode="json") for item in items), complete
    row.problem = problem.to_problem() if problem else None
    _move(row, ScanState.FAILED if problem else ScanState.SUCCEEDED)


def _move(row: Scan, state: ScanState) -> None:
    if row.state != state:
        row.state = state
        row.version += 1


async def purge(session: AsyncSession, lifetime_seconds: float) -> None:
    """Drop those that ended long ago."""
    oldest = now() - timedelta(seconds=lifetime_seconds)
    is_over = and_(col(Scan.state).not_in(LIVE_SCANS), col(Scan.finished_at) < oldest)
    await session.execute(delete(Scan).where(is_over))


# --- shown -----------------------------------------------------------------------------------------------


def source_of(row: Scan) -> ScanSource | None:
    try:
        return source_from_row(row.source)
    except RecordUnreadableError:
        return None


def summary(row: Scan) -> ScanSummaryPublic:
    return ScanSummaryPublic(
        source=source_of(row),
        item_count=len(row.found),
        **row.model_dump(include=set(ScanSummaryPublic.model_fields) - {"source", "item_count"}),
    )


def public(row: Scan) -> ScanPublic:
    return ScanPublic(**dict(summary(row)), items=items_from_row(row.found))
