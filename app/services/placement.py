"""Placement: the proxy host and storage domain that suit an import best now, and why."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import ImportFailureError, MissingAbilityError, NoProxyHostError, RecordUnreadableError
from app.models.attempts import Reservation
from app.models.damage import damage
from app.models.providers import Provider
from app.models.proxy_hosts import HostState, ProxyHost
from app.models.storage_domains import DomainState, StorageDomain
from app.services import provider_records, storage_domains, uploads
from app.services.specs import VmImportCreate
from app.sources import source_of
from app.sources.provider_vm import provider_id_in
from app.sources.provider_vms import provider_source_of
from app.v2v.features import features_of, missing

WORK_BYTES_AT_LEAST = 2**30
"""virt-v2v refuses to start with less free in its temporary directory (virt-v2v(1), "Disk space")."""


@dataclass(frozen=True)
class Need:
    """What decides where an import can run: imports of one need can begin, or wait, alike."""

    data_center_id: UUID
    storage_domain_id: UUID | None
    proxy_host_id: UUID | None
    """The one that was asked for."""
    abilities: frozenset[str]
    """What the source needs of virt-v2v."""
    is_copy: bool
    """Whether nothing is needed of virt-v2v, by the storage domain neither."""
    excluded: tuple[UUID, ...] = ()
    """Proxy hosts that don't hold the source."""
    provider_id: UUID | None = None

    @property
    def work_bytes(self) -> int:
        """What it takes in the work directory, whatever its source is."""
        return work_bytes_at_least(is_copy=self.is_copy)


def work_bytes_at_least(*, is_copy: bool) -> int:
    return 0 if is_copy else WORK_BYTES_AT_LEAST


def need_of(spec: VmImportCreate, data_center_id: UUID, excluded: Sequence[UUID]) -> Need:
    return Need(
        data_center_id=data_center_id,
        storage_domain_id=spec.storage_domain_id,
        proxy_host_id=spec.proxy_host_id,
        abilities=source_of(spec.source.kind).abilities(spec.source),
        is_copy=spec.conversion.is_copy,
        excluded=tuple(excluded),
        provider_id=provider_id_in(spec.source),
    )


@dataclass
class Load:
    """What there is and what it carries: looked up once a pass, and counted up as imports are admitted."""

    slots: Counter[UUID] = field(default_factory=Counter)
    """By proxy host, storage domain and provider."""
    bytes: Counter[UUID] = field(default_factory=Counter)
    """Held in the work directory of a proxy host, or on a storage domain."""
    hosts: dict[UUID, list[ProxyHost]] = field(default_factory=dict)
    """By data center, as they were found first in this pass."""
    domains: dict[UUID, list[StorageDomain]] = field(default_factory=dict)
    providers: dict[UUID, Provider | None] = field(default_factory=dict)

    def add(self, reservation: Reservation) -> None:
        self.bytes[reservation.proxy_host_id] += reservation.work_bytes
        if reservation.storage_domain_id is not None:
            self.bytes[reservation.storage_domain_id] += reservation.target_bytes
        self.take(reservation.proxy_host_id, reservation.storage_domain_id, reservation.provider_id)

    def take(self, *ids: UUID | None) -> None:
        """One slot of each."""
        self.slots.update(id_ for id_ in ids if id_ is not None)


@dataclass(frozen=True)
class Choice:
    """Where an import is to run, and why there."""

    host: ProxyHost
    domain: StorageDomain
    reason: str
    work_bytes: int
    """What the import takes in the host's work directory, whatever its source is."""


@dataclass(frozen=True)
class Wait:
    """Why an import can't begin now."""

    reason: str
    full: UUID | None = None
    """The host, domain or provider that runs as many as it takes; none when a host is to be up first."""
    beside: tuple[UUID, ...] = ()
    """What it needs besides, and what is free now."""


async def current_load(session: AsyncSession) -> Load:
    load = Load()
    for reservation in (await session.execute(select(Reservation))).scalars():
        load.add(reservation)
    load.bytes.update(await uploads.outstanding(session))
    return load


async def free_slots(session: AsyncSession, load: Load) -> int:
    """How many imports the proxy hosts can take now."""
    hosts = (await session.execute(select(ProxyHost))).scalars()
    return sum(max(host.slots() - load.slots[host.id], 0) for host in hosts if _not_ready(host) is None)


async def choose(session: AsyncSession, need: Need, load: Load) -> Choice | Wait:
    """The best place for an import now, or why it has to wait.

    Raises NoProxyHostError, MissingAbilityError, RecordUnreadableError when waiting would be of no use.
    """
    await _look_up(session, need, load)
    waits: list[Wait] = []
    failures: list[ImportFailureError] = []
    for domain in _domains(need, load.domains[need.data_center_id]):
        answer = _choose_host(need, domain, load)
        if isinstance(answer, Choice):
            return answer
        if isinstance(answer, Wait):
            waits.append(answer)
        else:
            failures.append(answer)
    if waits:
        return waits[0]
    if failures:
        raise failures[0]
    raise NoProxyHostError("The data center has no storage domain that can take the VM.")


async def _look_up(session: AsyncSession, need: Need, load: Load) -> None:
    if need.provider_id is not None and need.provider_id not in load.providers:
        load.providers[need.provider_id] = await session.get(Provider, need.provider_id)
    data_center_id = need.data_center_id
    if data_center_id in load.hosts:
        return
    hosts = select(ProxyHost).where(col(ProxyHost.data_center_id) == data_center_id)
    domains = select(StorageDomain).where(col(StorageDomain.data_center_id) == data_center_id)
    load.hosts[data_center_id] = list((await session.execute(hosts.order_by(col(ProxyHost.id)))).scalars())
    load.domains[data_center_id] = list(
        (await session.execute(domains.order_by(col(StorageDomain.id)))).scalars()
    )


def _domains(need: Need, domains: Sequence[StorageDomain]) -> list[StorageDomain]:
    """The domain that was named, or those of the data center that keep VMs, the roomiest first."""
    if need.storage_domain_id is not None:
        return [domain for domain in domains if domain.id == need.storage_domain_id]
    found = [domain for domain in domains if _keeps(domain)]
    return sorted(found, key=lambda domain: (-(domain.status.free_bytes or 0), domain.id))


def _keeps(domain: StorageDomain) -> bool:
    """Whether VMs stay there, as far as is known."""
    try:
        destination, _ = storage_domains.opened(domain)
    except RecordUnreadableError:
        return False
    return destination.keeps and domain.status.state is not DomainState.UNUSABLE


class Fit(Enum):
    """How a proxy host suits an import."""

    READY = auto()
    FULL = auto()
    """It runs as many imports as it takes."""
    LATER = auto()
    """It could, but not now."""
    LACKING = auto()
    """Its virt-v2v can't do it."""
    NEVER = auto()


Fits = dict[Fit, list[tuple[ProxyHost, str]]]


def _choose_host(need: Need, domain: StorageDomain, load: Load) -> Choice | Wait | ImportFailureError:
    try:
        found = _fits(need, domain, load)
    except RecordUnreadableError as error:
        return error
    if not (found[Fit.READY] or found[Fit.FULL]):
        return _decide(need, found, domain, load)
    ready = [host for host, _ in found[Fit.READY]]
    free = [_least_loaded(ready, load).id] if ready else []
    provider = load.providers.get(need.provider_id) if need.provider_id else None
    has_room = {limited.id: _has_room(limited, load) for limited in (domain, provider) if limited is not None}
    for what, limited in (("Storage domain", domain), ("Provider", provider)):
        if limited is not None and not has_room[limited.id]:
            limit = limited.max_concurrent_imports
            reason = f"{what} {limited.name!r} runs {limit} imports, as many as it takes."
            return Wait(reason, limited.id, (*free, *(id_ for id_, has in has_room.items() if has)))
    return _decide(need, found, domain, load)


def _has_room(limited: StorageDomain | Provider, load: Load) -> bool:
    limit = limited.max_concurrent_imports
    return limit is None or load.slots[limited.id] < limit


def _fits(need: Need, domain: StorageDomain, load: Load) -> Fits:
    only = _only_host(domain)
    abilities = (
        frozenset() if need.is_copy else need.abilities | _abilities(domain) | _of_provider(need, load)
    )
    found: Fits = {fit: [] for fit in Fit}
    for host in load.hosts[need.data_center_id]:
        if need.proxy_host_id in {None, host.id}:
            fit, reason = _judge(host, need, abilities, only, load)
            found[fit].append((host, reason))
    return found


def _judge(
    host: ProxyHost, need: Need, abilities: frozenset[str], only: UUID | None, load: Load
) -> tuple[Fit, str]:
    if (reason := _misses(host, only, need.excluded)) is not None:
        return Fit.NEVER, reason
    if (reason := _not_ready(host)) is not None:
        return Fit.LATER, reason
    if lacks := _lacks(host, abilities):
        return Fit.LACKING, f"its virt-v2v lacks {', '.join(lacks)}"
    if load.slots[host.id] >= host.slots():
        return Fit.FULL, f"runs {load.slots[host.id]} imports, as many as it takes"
    if (reason := _cramped(host, need, load)) is not None:
        return Fit.LATER, reason
    return Fit.READY, ""


def _decide(need: Need, found: Fits, domain: StorageDomain, load: Load) -> Choice | Wait | ImportFailureError:
    if ready := [host for host, _ in found[Fit.READY]]:
        best = _least_loaded(ready, load)
        return Choice(best, domain, _praise(best, ready, load), need.work_bytes)
    if found[Fit.FULL] or found[Fit.LATER]:
        asked = "" if need.proxy_host_id is None else " It was asked for by its id, so no other one is taken."
        full = found[Fit.FULL][0][0].id if found[Fit.FULL] else None
        beside = tuple(id_ for id_ in (domain.id, need.provider_id) if id_ is not None) if full else ()
        return Wait(_told(found[Fit.FULL] + found[Fit.LATER]) + asked, full, beside)
    if found[Fit.LACKING]:
        return MissingAbilityError(_told(found[Fit.LACKING]))
    return NoProxyHostError(_told(found[Fit.NEVER]) or "The data center has no proxy host.")


def _told(reasons: list[tuple[ProxyHost, str]]) -> str:
    told = "; ".join(f"proxy host {host.name!r} {reason}" for host, reason in reasons)
    return f"{told[0].upper()}{told[1:]}." if told else ""


def _abilities(domain: StorageDomain) -> frozenset[str]:
    destination, settings = storage_domains.opened(domain)
    return destination.abilities(settings)


def _of_provider(need: Need, load: Load) -> frozenset[str]:
    """What importing from the provider needs of virt-v2v. Raises RecordUnreadableError."""
    provider = load.providers.get(need.provider_id) if need.provider_id else None
    if provider is None:
        return frozenset()
    url, options = provider_records.opened(provider)
    return provider_source_of(provider.kind).abilities(url, options)


def _only_host(domain: StorageDomain) -> UUID | None:
    destination, settings = storage_domains.opened(domain)
    return destination.host_id(settings)


def _misses(host: ProxyHost, only: UUID | None, excluded: Sequence[UUID]) -> str | None:
    if host.id in excluded:
        return "does not hold the source"
    return None if only in {None, host.id} else "does not hold the storage domain"


def _not_ready(host: ProxyHost) -> str | None:
    if not host.enabled:
        return "is disabled (it drains)"
    if damage(host):
        return "has a record that can't be read"
    if host.status.state is HostState.UP:
        return None
    problem = host.status.problem
    return f"is {host.status.state}" + (f" ({problem.detail})" if problem else "")


def _lacks(host: ProxyHost, needed: frozenset[str]) -> list[str]:
    return missing(features_of(host.status.virt_v2v), needed) if host.status.virt_v2v else sorted(needed)


def _cramped(host: ProxyHost, need: Need, load: Load) -> str | None:
    free = (host.status.free_bytes or 0) - load.bytes[host.id]
    if free < need.work_bytes:
        return f"has {max(free, 0)} bytes free in its work directory, {need.work_bytes} are needed"
    return None


def _least_loaded(hosts: list[ProxyHost], load: Load) -> ProxyHost:
    return min(
        hosts,
        key=lambda host: (load.slots[host.id] / host.slots(), -(host.status.free_bytes or 0), host.id),
    )


def _praise(host: ProxyHost, usable: list[ProxyHost], load: Load) -> str:
    busy = f"{load.slots[host.id]} of {host.slots()} slots in use"
    if len(usable) == 1:
        return f"the only proxy host that can take it now; {busy}"
    return f"the least loaded of {len(usable)} proxy hosts; {busy}"
