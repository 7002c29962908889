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
from app.models.proxy_hosts import HostState, ProxyHost
from app.models.storage_domains import DomainState, StorageDomain
from app.services import storage_domains
from app.services.specs import VmImportCreate
from app.sources import source_of
from app.v2v.features import features_of, missing

WORK_BYTES_AT_LEAST = 2**30
"""virt-v2v refuses to start with less free in its temporary directory (virt-v2v(1), "Disk space")."""


@dataclass
class Load:
    """What there is and what it carries: looked up once a pass, and counted up as imports are admitted."""

    host_slots: Counter[UUID] = field(default_factory=Counter)
    host_bytes: Counter[UUID] = field(default_factory=Counter)
    domain_slots: Counter[UUID] = field(default_factory=Counter)
    domain_bytes: Counter[UUID] = field(default_factory=Counter)
    hosts: dict[UUID, list[ProxyHost]] = field(default_factory=dict)
    """By data center, as they were found first in this pass."""
    domains: dict[UUID, list[StorageDomain]] = field(default_factory=dict)

    def add(self, reservation: Reservation) -> None:
        self.host_slots[reservation.proxy_host_id] += 1
        self.host_bytes[reservation.proxy_host_id] += reservation.work_bytes
        if reservation.storage_domain_id is not None:
            self.domain_slots[reservation.storage_domain_id] += 1
            self.domain_bytes[reservation.storage_domain_id] += reservation.target_bytes


@dataclass(frozen=True)
class Choice:
    """Where an import is to run, and why there."""

    host: ProxyHost
    domain: StorageDomain
    reason: str


@dataclass(frozen=True)
class Wait:
    """Why an import can't begin now."""

    reason: str


async def current_load(session: AsyncSession) -> Load:
    load = Load()
    for reservation in (await session.execute(select(Reservation))).scalars():
        load.add(reservation)
    return load


async def choose(
    session: AsyncSession,
    spec: VmImportCreate,
    data_center_id: UUID,
    excluded: Sequence[UUID],
    load: Load,
) -> Choice | Wait:
    """The best place for an import now, or why it has to wait.

    Raises NoProxyHostError, MissingAbilityError, RecordUnreadableError when waiting would be of no use.
    """
    await _look_up(session, data_center_id, load)
    domains = _domains(spec, load.domains[data_center_id])
    hosts = [host for host in load.hosts[data_center_id] if spec.proxy_host_id in {None, host.id}]
    waits: list[str] = []
    failures: list[ImportFailureError] = []
    for domain in domains:
        answer = _choose_host(spec, domain, hosts, excluded, load)
        if isinstance(answer, Choice):
            return answer
        if isinstance(answer, Wait):
            waits.append(answer.reason)
        else:
            failures.append(answer)
    if waits:
        return Wait(waits[0])
    if failures:
        raise failures[0]
    raise NoProxyHostError("The data center has no storage domain that can take the VM.")


async def _look_up(session: AsyncSession, data_center_id: UUID, load: Load) -> None:
    if data_center_id in load.hosts:
        return
    hosts = select(ProxyHost).where(col(ProxyHost.data_center_id) == data_center_id)
    domains = select(StorageDomain).where(col(StorageDomain.data_center_id) == data_center_id)
    load.hosts[data_center_id] = list((await session.execute(hosts.order_by(col(ProxyHost.id)))).scalars())
    load.domains[data_center_id] = list(
        (await session.execute(domains.order_by(col(StorageDomain.id)))).scalars()
    )


def _domains(spec: VmImportCreate, domains: Sequence[StorageDomain]) -> list[StorageDomain]:
    """The domain that was named, or those of the data center that keep VMs, the roomiest first."""
    if spec.storage_domain_id is not None:
        return [domain for domain in domains if domain.id == spec.storage_domain_id]
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
    LATER = auto()
    """It could, but not now."""
    LACKING = auto()
    """Its virt-v2v can't do it."""
    NEVER = auto()


def _choose_host(
    spec: VmImportCreate,
    domain: StorageDomain,
    hosts: list[ProxyHost],
    excluded: Sequence[UUID],
    load: Load,
) -> Choice | Wait | ImportFailureError:
    if not hosts:
        return NoProxyHostError("The data center has no proxy host.")
    limit = domain.max_concurrent_imports
    if limit is not None and load.domain_slots[domain.id] >= limit:
        return Wait(f"Storage domain {domain.name!r} runs {limit} imports, as many as it takes.")
    needed, only = _needed_abilities(spec, domain), _only_host(domain)
    found: dict[Fit, list[tuple[ProxyHost, str]]] = {fit: [] for fit in Fit}
    for host in hosts:
        fit, reason = _judge(host, needed, only, excluded, load)
        found[fit].append((host, reason))
    return _decide(found, domain, load)


def _judge(
    host: ProxyHost, needed: frozenset[str], only: UUID | None, excluded: Sequence[UUID], load: Load
) -> tuple[Fit, str]:
    if host.id in excluded:
        return Fit.NEVER, "does not hold the source"
    if only not in {None, host.id}:
        return Fit.NEVER, "does not hold the storage domain"
    if (reason := _not_ready(host)) is not None:
        return Fit.LATER, reason
    if lacks := _lacks(host, needed):
        return Fit.LACKING, f"its virt-v2v lacks {', '.join(lacks)}"
    if (reason := _full(host, load)) is not None:
        return Fit.LATER, reason
    return Fit.READY, ""


def _decide(
    found: dict[Fit, list[tuple[ProxyHost, str]]], domain: StorageDomain, load: Load
) -> Choice | Wait | ImportFailureError:
    ready = [host for host, _ in found[Fit.READY]]
    if ready:
        best = _least_loaded(ready, load)
        return Choice(best, domain, _praise(best, ready, load))
    if found[Fit.LATER]:
        return Wait(_told(found[Fit.LATER]))
    if found[Fit.LACKING]:
        return MissingAbilityError(_told(found[Fit.LACKING]))
    return NoProxyHostError(_told(found[Fit.NEVER]))


def _told(reasons: list[tuple[ProxyHost, str]]) -> str:
    return "; ".join(f"proxy host {host.name!r} {reason}" for host, reason in reasons) + "."


def _needed_abilities(spec: VmImportCreate, domain: StorageDomain) -> frozenset[str]:
    destination, settings = storage_domains.opened(domain)
    source = source_of(spec.source.kind)
    return source.abilities(spec.source) | destination.abilities(settings)


def _only_host(domain: StorageDomain) -> UUID | None:
    destination, settings = storage_domains.opened(domain)
    return destination.host_id(settings)


def _not_ready(host: ProxyHost) -> str | None:
    if not host.enabled:
        return "is disabled"
    if damage(host):
        return "has a record that can't be read"
    if host.status.state is HostState.UP:
        return None
    problem = host.status.problem
    return f"is {host.status.state}" + (f" ({problem.detail})" if problem else "")


def _lacks(host: ProxyHost, needed: frozenset[str]) -> list[str]:
    return missing(features_of(host.status.virt_v2v), needed) if host.status.virt_v2v else sorted(needed)


def _full(host: ProxyHost, load: Load) -> str | None:
    if load.host_slots[host.id] >= host.slots():
        return f"runs {load.host_slots[host.id]} imports, as many as it takes"
    free = (host.status.free_bytes or 0) - load.host_bytes[host.id]
    if free < WORK_BYTES_AT_LEAST:
        return f"has {max(free, 0)} bytes free in its work directory, {WORK_BYTES_AT_LEAST} are needed"
    return None


def _least_loaded(hosts: list[ProxyHost], load: Load) -> ProxyHost:
    return min(
        hosts,
        key=lambda host: (load.host_slots[host.id] / host.slots(), -(host.status.free_bytes or 0), host.id),
    )


def _praise(host: ProxyHost, usable: list[ProxyHost], load: Load) -> str:
    busy = f"{load.host_slots[host.id]} of {host.slots()} slots in use"
    if len(usable) == 1:
        return f"the only proxy host that can take it now; {busy}"
    return f"the least loaded of {len(usable)} proxy hosts; {busy}"
