"""Orphans: who owns what carries a mark, and by which turn it may be removed."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.models.attempts import Artifact, Attempt, Outcome
from app.models.imports import VmImport
from app.models.orphans import MarkedThing, OrphanKind
from app.models.proxy_hosts import ProxyHost
from app.models.state import LIVE, ImportState
from app.models.storage_domains import StorageDomain
from app.models.vms import Vm
from app.services import attempts, installation, scans, timeline, turns, uploads

LAST_TURN: Final = 2**62
"""Of attempts that the database doesn't know: no later turn can come."""
ARTIFACTS: Final = {
    OrphanKind.ATTEMPT_DIRECTORY: "attempt",
    OrphanKind.PROCESS: "attempt",
    OrphanKind.STORAGE_DIRECTORY: "target",
    OrphanKind.UPLOAD: "upload",
}
"""How the steps record what they make; uploads have records of their own."""
AT_ONCE: Final = 500
"""Ids a query: SQLite takes only so many."""

T = TypeVar("T")


@dataclass(frozen=True)
class KnownAttempt:
    """What the database knows of an attempt."""

    attempt: Attempt
    row: VmImport
    artifacts: frozenset[str]

    @property
    def vm_id(self) -> UUID | None:
        """The VM that it was to become."""
        target = self.attempt.facts.get("target")
        return UUID(target["vm_id"]) if target is not None else None

    @property
    def is_kept(self) -> bool:
        """Its import failed, and what it made was to stay (`keep_on_failure`)."""
        return (
            self.row.state == ImportState.FAILED
            and bool(self.row.spec.get("keep_on_failure"))
            and self.attempt.number == self.row.attempt
            and self.attempt.outcome == Outcome.FAILED
            and not self.attempt.abandoned
        )


@dataclass(frozen=True)
class Ownership:
    """What the database says of the marked things that were found."""

    installation_id: UUID
    known: dict[UUID, KnownAttempt]
    vm_ids: frozenset[UUID]
    """The VMs among those that they belong or belonged to that are still there."""
    upload_ids: frozenset[UUID]
    """The uploads among them that are on record and have not expired."""
    scan_ids: frozenset[UUID]
    """The scans among them that are live: a deep one has a directory, as an attempt has."""

    def is_ours(self, thing: MarkedThing) -> bool:
        """Whether this installation made it; what another one's mark says is none of our business."""
        is_known = thing.attempt_id in self.known or thing.attempt_id in self.vm_ids | self.upload_ids
        return is_known or thing.installation_id == self.installation_id

    def is_owned(self, thing: MarkedThing) -> bool:
        """A live import owns all that its attempts made; a VM its disks; a failed import what it kept; and an
        upload is its own until it expires.
        """
        if thing.kind is OrphanKind.UPLOAD:
            return thing.attempt_id in self.upload_ids
        known = self.known.get(thing.attempt_id)
        if known is None:
            return thing.attempt_id in self.vm_ids | self.scan_ids
        if known.row.state in LIVE:
            return True
        if thing.kind is OrphanKind.STORAGE_DIRECTORY and known.vm_id in self.vm_ids:
            return True
        is_recorded = ARTIFACTS[thing.kind] in known.artifacts
        return known.is_kept and is_recorded and thing.kind is not OrphanKind.PROCESS

    def is_orphan(self, thing: MarkedThing) -> bool:
        return self.is_ours(thing) and not self.is_owned(thing)


async def places(session: AsyncSession) -> tuple[list[ProxyHost], list[StorageDomain]]:
    """Where something of ours can be: every proxy host, also one that is drained, and every domain."""
    hosts = await session.execute(select(ProxyHost).order_by(col(ProxyHost.id)))
    domains = await session.execute(select(StorageDomain).order_by(col(StorageDomain.id)))
    return list(hosts.scalars()), list(domains.scalars())


async def ownership(session: AsyncSession, things: Collection[MarkedThing]) -> Ownership:
    """To be read after the hosts were asked: what is made is on record before it is there."""
    ids = {thing.attempt_id for thing in things}
    known = await _known(session, ids)
    vm_ids = ids | {found.vm_id for found in known.values() if found.vm_id is not None}
    return Ownership(
        await installation.current_id(session),
        known,
        await _vms(session, vm_ids),
        await _uploads(session, {thing.attempt_id for thing in things if thing.kind is OrphanKind.UPLOAD}),
        await _scans(session, ids),
    )


async def _known(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, KnownAttempt]:
    found: dict[UUID, KnownAttempt] = {}
    for some in _portions(ids):
        artifacts = await _artifacts(session, some)
        statement = (
            select(Attempt, VmImport)
            .join(VmImport, col(VmImport.id) == col(Attempt.import_id))
            .where(col(Attempt.id).in_(some))
        )
        for attempt, row in (await session.execute(statement)).all():
            found[attempt.id] = KnownAttempt(attempt, row, artifacts.get(attempt.id, frozenset()))
    return found


async def _artifacts(session: AsyncSession, attempt_ids: Sequence[UUID]) -> dict[UUID, frozenset[str]]:
    statement = select(col(Artifact.attempt_id), col(Artifact.kind)).where(
        col(Artifact.attempt_id).in_(attempt_ids)
    )
    found: dict[UUID, frozenset[str]] = {}
    for attempt_id, kind in (await session.execute(statement)).all():
        found[attempt_id] = found.get(attempt_id, frozenset()) | {kind}
    return found


async def _vms(session: AsyncSession, ids: Iterable[UUID]) -> frozenset[UUID]:
    found: set[UUID] = set()
    for some in _portions(ids):
        found |= set((await session.execute(select(col(Vm.id)).where(col(Vm.id).in_(some)))).scalars())
    return frozenset(found)


async def _uploads(session: AsyncSession, ids: Iterable[UUID]) -> frozenset[UUID]:
    found = [await uploads.owned(session, some) for some in _portions(ids)]
    return frozenset().union(*found)


async def _scans(session: AsyncSession, ids: Iterable[UUID]) -> frozenset[UUID]:
    found = [await scans.live(session, some) for some in _portions(ids)]
    return frozenset().union(*found)


def _portions(items: Iterable[T]) -> Iterator[list[T]]:
    listed = list(items)
    for start in range(0, len(listed), AT_ONCE):
        yield listed[start : start + AT_ONCE]


@dataclass(frozen=True)
class Taken:
    """Which of an attempt's things may be removed now, and by which turn."""

    orphans: tuple[MarkedThing, ...]
    turn: int
    host_id: UUID | None
    """The attempt's own proxy host, as far as it is known."""


async def take(session: AsyncSession, things: Sequence[MarkedThing]) -> Taken:
    """Claim an attempt's things for their removal, as a turn does: what is older does nothing more on the
    host, and a retry, which is newer, makes this removal do nothing more.

    A live import's turns go on as they are: it owns all of its things.
    """
    attempt = await session.get(Attempt, things[0].attempt_id)
    row = await turns.locked(session, attempt.import_id) if attempt is not None else None
    found = await ownership(session, things)
    orphans = tuple(thing for thing in things if found.is_orphan(thing))
    if attempt is None or row is None:
        return Taken(orphans, LAST_TURN, None)
    if orphans:
        row.turn += 1
    return Taken(orphans, row.turn, attempt.proxy_host_id)


async def forget(session: AsyncSession, removed: MarkedThing, *, is_last: bool) -> None:
    """It is removed; the last of its kind is no longer on record as made."""
    if removed.kind is OrphanKind.UPLOAD:
        await uploads.removed(session, removed.attempt_id)
    attempt = await session.get(Attempt, removed.attempt_id)
    row = await turns.locked(session, attempt.import_id) if attempt is not None else None
    if attempt is None or row is None:
        return
    timeline.note(session, row, "orphan_removed", orphan_kind=removed.kind, path=removed.path)
    if is_last:
        await attempts.forget(session, attempt.id, ARTIFACTS[removed.kind])
