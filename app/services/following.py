"""Followed attempts: which host's watcher holds them, how far their logs are read, what was found there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Exists, bindparam, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.destinations.base import Target
from app.errors import FencedError
from app.models.attempts import Attempt
from app.models.imports import ConversionWarning, VmImport
from app.models.progress import DiskProgress, Progress
from app.models.proxy_hosts import ProxyHost
from app.models.vm import VmConfig
from app.services import attempts, imports, log_chunks, turns

HOSTS_AT_ONCE = 8
MOST_WARNINGS = 100
MOST_ERRORS = 100
"""So many are kept of an attempt; the log holds the rest."""


@dataclass(frozen=True)
class Heard:
    """What a piece of virt-v2v's log says: bytes [start, end) of it, and what is to be kept of them."""

    start: int
    end: int
    kept: bytes = b""
    stage: str | None = None
    """The newest stage; None when none began."""
    warnings: tuple[ConversionWarning, ...] = ()
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProgressSave:
    """An import's whole progress, of one attempt; newer means a higher `seq`."""

    import_id: UUID
    attempt: int
    seq: int
    progress: Progress
    disk_progress: tuple[DiskProgress, ...]


@dataclass(frozen=True)
class StillnessSave:
    """For how long an attempt's virt-v2v has been seen to stand still, and its I/O counter."""

    attempt_id: UUID
    still_seconds: float
    io_bytes: int | None


def begin(row: VmImport, attempt: Attempt, target: Target, config: VmConfig) -> None:
    """From now on the host's watcher follows the attempt; nothing of it has been read."""
    labels = [disk.label for disk in config.disks]
    row.stage = None
    row.progress = Progress(bytes_total=sum(disk.capacity_bytes for disk in target.disks))
    row.disk_progress = tuple(
        DiskProgress(number=disk.number, label=label, capacity_bytes=disk.capacity_bytes, disk_id=disk.id)
        for disk, label in zip(target.disks, labels, strict=True)
    )
    attempt.followed, attempt.log_bytes, attempt.kept_bytes, attempt.errors = True, 0, 0, ()


async def is_followed(session: AsyncSession, attempt_id: UUID) -> bool:
    statement = select(col(Attempt.followed)).where(col(Attempt.id) == attempt_id)
    return bool((await session.execute(statement)).scalar())


# --- who watches which host ------------------------------------------------------------------------------


async def unwatched_hosts(session: AsyncSession) -> list[UUID]:
    """Proxy hosts with followed attempts that no worker watches, a few at a time: others take some, too."""
    statement = select(col(ProxyHost.id)).where(col(ProxyHost.watcher_worker_id).is_(None), _has_followed())
    return list((await session.execute(statement.limit(HOSTS_AT_ONCE))).scalars())


async def take_hosts(session: AsyncSession, host_ids: Sequence[UUID], worker_id: UUID) -> list[UUID]:
    """Become the watcher of those that still have none; answers which."""
    statement = (
        update(ProxyHost)
        .where(col(ProxyHost.id).in_(host_ids), col(ProxyHost.watcher_worker_id).is_(None))
        .values(watcher_worker_id=worker_id)
        .returning(col(ProxyHost.id))
    )
    return list((await session.execute(statement)).scalars())


async def leave_host(session: AsyncSession, host_id: UUID, worker_id: UUID) -> None:
    """Watch the host no longer. Watching is nobody's then; who finds followed attempts there takes it."""
    await session.execute(
        update(ProxyHost)
        .where(col(ProxyHost.id) == host_id, col(ProxyHost.watcher_worker_id) == worker_id)
        .values(watcher_worker_id=None)
    )


async def followed_by(session: AsyncSession, worker_id: UUID) -> dict[UUID, list[UUID]]:
    """The proxy hosts that the worker watches, and the attempts to follow on each; there may be none."""
    held = select(col(ProxyHost.id)).where(col(ProxyHost.watcher_worker_id) == worker_id)
    found: dict[UUID, list[UUID]] = {host_id: [] for host_id in (await session.execute(held)).scalars()}
    statement = select(col(Attempt.id), col(Attempt.proxy_host_id)).where(
        col(Attempt.followed).is_(True), col(Attempt.proxy_host_id).in_(found)
    )
    for attempt_id, host_id in (await session.execute(statement.order_by(col(Attempt.id)))).all():
        if host_id is not None:
            found[host_id].append(attempt_id)
    return found


def _has_followed() -> Exists:
    return exists().where(col(Attempt.proxy_host_id) == col(ProxyHost.id), col(Attempt.followed).is_(True))


# --- what was read ---------------------------------------------------------------------------------------


async def load(session: AsyncSession, attempt_id: UUID) -> tuple[VmImport, Attempt] | None:
    """The rows of a followed attempt; None when it is followed no more."""
    attempt = await session.get(Attempt, attempt_id)
    if attempt is None or not attempt.followed:
        return None
    row = await session.get(VmImport, attempt.import_id)
    return None if row is None else (row, attempt)


async def save_lines(
    session: AsyncSession, import_id: UUID, attempt_id: UUID, heard: Heard, *, log_cap_bytes: int
) -> bool:
    """Save what was heard, and how far the log is read, as one. True: clients are to see the import anew.

    Raises FencedError when the attempt isn't followed any more, or somebody else has read on.
    """
    row, attempt = await _held(session, import_id, attempt_id)
    if attempt.log_bytes != heard.start:
        raise FencedError(f"Attempt {attempt_id} was read by another watcher.")
    attempt.log_bytes = heard.end
    if heard.kept:
        await log_chunks.append(session, attempt_id, attempt.kept_bytes, heard.kept)
        attempt.kept_bytes += len(heard.kept)
        await log_chunks.trim(session, attempt_id, kept_bytes=attempt.kept_bytes, cap_bytes=log_cap_bytes)
    attempt.errors = _bounded(attempt.errors + heard.errors)
    return _tell(row, heard)


def _bounded(errors: tuple[str, ...]) -> tuple[str, ...]:
    """The first and the last: a cause is told early, and virt-v2v's own verdict at the end."""
    half = MOST_ERRORS // 2
    return errors if len(errors) <= MOST_ERRORS else errors[:half] + errors[-half:]


def _tell(row: VmImport, heard: Heard) -> bool:
    warnings = (row.warnings + heard.warnings)[:MOST_WARNINGS]
    stage = heard.stage or row.stage
    if (warnings, stage) == (row.warnings, row.stage):
        return False
    row.warnings, row.stage = warnings, stage
    imports.changed(row)
    return True


async def _held(session: AsyncSession, import_id: UUID, attempt_id: UUID) -> tuple[VmImport, Attempt]:
    row = await turns.locked(session, import_id)
    attempt = await session.get(Attempt, attempt_id, populate_existing=True)
    if row is None or attempt is None or not attempt.followed:
        raise FencedError(f"Attempt {attempt_id} is not followed any more.")
    return row, attempt


async def save_progress(session: AsyncSession, saves: Sequence[ProgressSave]) -> None:
    """Save the progress of many imports in one statement; what isn't newer changes nothing."""
    if not saves:
        return
    table = VmImport.__table__  # type: ignore[attr-defined]  # SQLModel doesn't declare it
    statement = (
        update(table)
        .where(
            table.c.id == bindparam("of_import"),
            table.c.attempt == bindparam("of_attempt"),
            table.c.progress_seq < bindparam("new_seq"),
        )
        .values(
            progress=bindparam("new_progress"),
            disk_progress=bindparam("new_disk_progress"),
            progress_seq=bindparam("new_seq"),
        )
    )
    rows = [
        {
            "of_import": save.import_id,
            "of_attempt": save.attempt,
            "new_seq": save.seq,
            "new_progress": save.progress,
            "new_disk_progress": save.disk_progress,
        }
        # Always in one order, so that two of these never wait for each other.
        for save in sorted(saves, key=lambda save: save.import_id)
    ]
    await (await session.connection()).execute(statement, rows)


async def save_stillness(session: AsyncSession, saves: Sequence[StillnessSave]) -> None:
    for save in sorted(saves, key=lambda save: save.attempt_id):
        statement = update(Attempt).where(col(Attempt.id) == save.attempt_id, col(Attempt.followed).is_(True))
        await session.execute(
            statement.values(still_seconds=save.still_seconds, io_bytes=save.io_bytes),
            execution_options={"synchronize_session": False},
        )


async def warn(session: AsyncSession, import_id: UUID, attempt_id: UUID, warning: ConversionWarning) -> None:
    """Add a warning of ours, one of each code. Raises FencedError when it is followed no more."""
    row, _ = await _held(session, import_id, attempt_id)
    if warning.code not in {known.code for known in row.warnings}:
        _tell(row, Heard(0, 0, warnings=(warning,)))


async def learn(session: AsyncSession, import_id: UUID, attempt_id: UUID, **facts: Any) -> None:
    """Keep what only a watcher can find out; a turn is to decide what it means. Raises FencedError."""
    _, attempt = await _held(session, import_id, attempt_id)
    attempts.learn(attempt, **facts)
    await turns.call(session, import_id)


async def end(session: AsyncSession, import_id: UUID, attempt_id: UUID) -> None:
    """The log is read to its end: a turn is to decide what that means."""
    _, attempt = await _held(session, import_id, attempt_id)
    attempt.followed = False
    await turns.call(session, import_id)
