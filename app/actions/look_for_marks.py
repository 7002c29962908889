"""Looks on proxy hosts, and through them on storage domains, for what carries a mark."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from app.actions.mark_again import mark_again
from app.db import Database, Session
from app.errors import AppError, DomainUnusableError, HostDeadlineError, RecordUnreadableError
from app.models.orphans import MarkedThing, OrphanKind, UnreachablePlace, place_tag
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import StorageDomain
from app.proxy.base import HostAddress
from app.proxy.inventories import FoundAttempt, FoundDirectory, FoundUpload, Inventory
from app.proxy.pool import ProxyPool
from app.secrets import Sealer
from app.services import orphans, proxy_hosts, storage_domains, unmarked
from app.services.unmarked import Unmarked

LOOK_SECONDS = 20.0
"""A host that hasn't answered by then is told as not reached, however many others are asked."""
LIST_SECONDS = 10.0
AT_ONCE = 32
MOST = 10_000
"""Things of a kind that one host tells."""


@dataclass(frozen=True)
class Visit:
    """A host that is to be asked, and the storage directories that it sees, with their domains."""

    host_id: UUID
    address: HostAddress | AppError
    roots: Mapping[str, tuple[UUID, ...]]
    unknown: Mapping[UUID, AppError]
    """Domains near the host of which nobody knows where they are: their records can't be read."""
    unmarked: tuple[Unmarked, ...]
    """What is to be marked again before the host is asked, by it."""

    @property
    def places(self) -> frozenset[UUID]:
        return frozenset({self.host_id, *(domain for domains in self.roots.values() for domain in domains)})


@dataclass(frozen=True)
class Looked:
    things: tuple[MarkedThing, ...]
    """As each host tells them: what several hosts see is there several times."""
    unreachable: tuple[UnreachablePlace, ...]
    seen: frozenset[UUID]
    """The hosts and domains that were looked at whole."""
    places: frozenset[UUID]
    """All hosts and domains at which something can be."""


async def look_for_marks(
    database: Database, sealer: Sealer, proxies: ProxyPool, tags: Collection[int] | None = None
) -> Looked:
    """What there is now, at the places with these tags or everywhere. A host that fails is told, no error."""
    async with database.reading() as session:
        visits, places = await _visits(session, sealer, tags)
    limit = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(visit, database, proxies, limit)) for visit in visits]
    return _summed_up(zip(visits, (task.result() for task in tasks), strict=True), places)


async def _visits(
    session: Session, sealer: Sealer, tags: Collection[int] | None
) -> tuple[list[Visit], frozenset[UUID]]:
    hosts, domains = await orphans.places(session)

    def is_wanted(place_id: UUID) -> bool:
        return tags is None or place_tag(place_id) in tags

    opened = [_open(domain) for domain in domains]
    wanted = [domain for domain in opened if is_wanted(domain.row.id)]
    left = await unmarked.of_imports(session)
    known = {host.id for host in hosts}
    visits = [
        _visit(
            host,
            _address(host, sealer),
            wanted,
            # The attempt's own host knows its turns; where its record is gone, any host may do it.
            [each for each in left if each.proxy_host_id == host.id or each.proxy_host_id not in known],
        )
        for host in hosts
    ]
    asked = [visit for visit in visits if visit.roots or is_wanted(visit.host_id)]
    kept = (domain.row.id for domain in opened if domain.parents or domain.error)
    return asked, frozenset((*(host.id for host in hosts), *kept))


@dataclass(frozen=True)
class _Domain:
    """A storage domain, where marked things are made on it, and the only host that sees it, if it is one."""

    row: StorageDomain
    parents: tuple[str, ...] = ()
    host_id: UUID | None = None
    error: AppError | None = None


def _open(row: StorageDomain) -> _Domain:
    try:
        destination, settings = storage_domains.opened(row)
    except RecordUnreadableError as error:
        return _Domain(row, error=error)
    return _Domain(row, destination.parents(settings), destination.host_id(settings))


def _visit(
    host: ProxyHost,
    address: HostAddress | AppError,
    domains: Sequence[_Domain],
    left: Iterable[Unmarked],
) -> Visit:
    near = [domain for domain in domains if domain.row.data_center_id == host.data_center_id]
    roots: dict[str, tuple[UUID, ...]] = {}
    for domain in near:
        for root in domain.parents if domain.host_id in {None, host.id} else ():
            roots[root] = (*roots.get(root, ()), domain.row.id)
    unknown = {domain.row.id: domain.error for domain in near if domain.error is not None}
    seen = {domain_id for domain_ids in roots.values() for domain_id in domain_ids}
    return Visit(host.id, address, roots, unknown, tuple(each for each in left if each.domain.id in seen))


def _address(host: ProxyHost, sealer: Sealer) -> HostAddress | AppError:
    try:
        return proxy_hosts.host_address(host, sealer)
    except AppError as error:
        return error


async def _ask(
    visit: Visit, database: Database, proxies: ProxyPool, limit: asyncio.Semaphore
) -> Inventory | AppError:
    if isinstance(visit.address, AppError):
        return visit.address
    try:
        async with asyncio.timeout(LOOK_SECONDS), limit:
            agent = await proxies.agent(visit.address)
            await mark_again(database, agent, visit.unmarked)
            return await agent.inventory(storage=list(visit.roots), most=MOST, seconds=LIST_SECONDS)
    except TimeoutError:
        return HostDeadlineError(f"{visit.address.address} could not be asked within {LOOK_SECONDS:g} s.")
    except AppError as error:
        return error


def _summed_up(asked: Iterable[tuple[Visit, Inventory | AppError]], places: frozenset[UUID]) -> Looked:
    things: list[MarkedThing] = []
    failed: list[UnreachablePlace] = []
    seen: set[UUID] = set()
    for visit, answer in asked:
        problems = list(_problems(visit, answer))
        failed += problems
        if isinstance(answer, Inventory):
            things += _things(visit, answer)
        if not any(problem.storage_domain_id is None for problem in problems):
            seen |= visit.places - {problem.storage_domain_id for problem in problems}
    # What one host can't see of a domain matters only where no other host sees it.
    told = tuple(place for place in failed if place.storage_domain_id not in seen)
    return Looked(tuple(things), told, frozenset(seen), places)


def _problems(visit: Visit, answer: Inventory | AppError) -> Iterator[UnreachablePlace]:
    """Why the host, or a domain as the host sees it, was not looked at whole."""
    error = answer if isinstance(answer, AppError) else None
    if isinstance(answer, Inventory) and not answer.complete:
        error = HostDeadlineError(f"There is more than could be listed within {LIST_SECONDS:g} s.")
    if error is not None:
        yield UnreachablePlace(
            proxy_host_id=visit.host_id, storage_domain_id=None, problem=error.to_problem()
        )
    for domain_id, unknown in visit.unknown.items():
        yield UnreachablePlace(
            proxy_host_id=visit.host_id, storage_domain_id=domain_id, problem=unknown.to_problem()
        )
    for unread in answer.unread if isinstance(answer, Inventory) else ():
        for domain_id in visit.roots.get(unread.root, ()):
            problem = DomainUnusableError(unread.detail).to_problem()
            yield UnreachablePlace(proxy_host_id=visit.host_id, storage_domain_id=domain_id, problem=problem)


def _things(visit: Visit, found: Inventory) -> Iterator[MarkedThing]:
    running = {attempt.attempt_id for attempt in found.attempts if attempt.running}
    for attempt in found.attempts:
        kind = OrphanKind.PROCESS if attempt.path is None else OrphanKind.ATTEMPT_DIRECTORY
        yield _thing(kind, visit.host_id, None, attempt, is_running=attempt.running)
    for upload in found.uploads:
        yield _thing(OrphanKind.UPLOAD, visit.host_id, None, upload, is_running=False)
    for directory in found.directories:
        for domain_id in visit.roots.get(directory.root, ()):
            kind, is_running = OrphanKind.STORAGE_DIRECTORY, directory.attempt_id in running
            yield _thing(kind, visit.host_id, domain_id, directory, is_running=is_running)


def _thing(
    kind: OrphanKind,
    host_id: UUID,
    domain_id: UUID | None,
    found: FoundAttempt | FoundDirectory | FoundUpload,
    *,
    is_running: bool,
) -> MarkedThing:
    return MarkedThing(
        kind=kind,
        proxy_host_id=host_id,
        storage_domain_id=domain_id,
        attempt_id=found.attempt_id,
        installation_id=found.installation_id,
        path=found.path,
        size_bytes=found.size_bytes,
        created_at=_time(found.made_at),
        running=is_running,
    )


def _time(seconds: float | None) -> datetime | None:
    """None also for what a host's clock says beyond all years."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
