"""Proxy hosts: enrolled, changed, removed, reached, and how they were found."""

from collections import Counter
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Select, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db import lock_admission
from app.errors import HostKeyUnverifiedError, NotFoundError
from app.models.attempts import Artifact, Attempt
from app.models.common import Json
from app.models.imports import VmImport
from app.models.providers import Provider
from app.models.proxy_hosts import HostState, HostStatus, ProxyHost, ProxyHostCreate, ProxyHostPublic
from app.models.storage_domains import StorageDomain
from app.models.vms import Disk, Vm
from app.proxy.base import HostAddress
from app.secrets import Sealer
from app.services import attempts, data_centers, names, records, scans, uploads, users

SECRETS: Final = ("private_key", "password")
REACHED_BY: Final = frozenset({"address", "port", "username", "sudo", "host_key", "work_dir", *SECRETS})
"""What says how the host is reached: after a change of these it has to be found anew."""
FOUND_BY: Final = REACHED_BY | {"virt_v2v_path", "environment", "enabled"}
"""What a probe depends on."""
PLACES: Final = frozenset({"address", "port", "work_dir"})
"""What must not change under running imports and uploads: what they left would be looked for elsewhere."""


def context(host_id: UUID) -> str:
    """Binds sealed secrets to their row."""
    return f"proxy_hosts:{host_id}"


async def create(session: AsyncSession, body: ProxyHostCreate, sealer: Sealer) -> ProxyHost:
    """Raises UnknownReferenceError, NameInUseError."""
    await data_centers.hold(session, body.data_center_id)
    row = ProxyHost(**body.model_dump(exclude=set(SECRETS)))
    row.status = _unknown_status(row)
    _seal(row, {name: getattr(body, name) for name in SECRETS}, sealer)
    return await names.add(session, row)


def _seal(row: ProxyHost, given: dict[str, SecretStr | None], sealer: Sealer) -> None:
    secrets = {name: value for name, value in given.items() if value is not None}
    row.sealed_secrets = sealer.seal(secrets, context(row.id)) if secrets else None
    row.has_private_key, row.has_password = "private_key" in secrets, "password" in secrets


def _unknown_status(row: ProxyHost) -> HostStatus:
    """Nothing is known: a probe is due at once."""
    if not row.enabled:
        return HostStatus(state=HostState.DISABLED)
    return HostStatus(state=HostState.CHECKING if row.host_key else HostState.UNVERIFIED)


async def get(session: AsyncSession, host_id: UUID) -> ProxyHost:
    """Raises NotFoundError."""
    row = await session.get(ProxyHost, host_id)
    if row is None:
        raise NotFoundError(f"There is no proxy host {host_id}.")
    return row


async def get_locked(session: AsyncSession, host_id: UUID) -> ProxyHost:
    """As `get`, and nobody else changes it until the transaction ends."""
    await session.get(ProxyHost, host_id, with_for_update=True)
    return await get(session, host_id)


async def page(
    session: AsyncSession,
    *,
    data_center_id: UUID | None = None,
    name: str | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[ProxyHost]:
    """Newest first; `before` is the last one of the page before."""
    statement = select(ProxyHost).order_by(col(ProxyHost.id).desc()).limit(limit)
    if data_center_id is not None:
        statement = statement.where(col(ProxyHost.data_center_id) == data_center_id)
    if name is not None:
        statement = statement.where(col(ProxyHost.name) == name)
    if before is not None:
        statement = statement.where(col(ProxyHost.id) < before)
    return list((await session.execute(statement)).scalars())


async def of_data_center(session: AsyncSession, data_center_id: UUID) -> list[ProxyHost]:
    """Those of a data center that are enabled, in the order in which they were enrolled."""
    statement = select(ProxyHost).where(
        col(ProxyHost.data_center_id) == data_center_id, col(ProxyHost.enabled).is_(True)
    )
    return list((await session.execute(statement.order_by(col(ProxyHost.id)))).scalars())


def host_address(row: ProxyHost, sealer: Sealer) -> HostAddress:
    """How the host is reached. Raises HostKeyUnverifiedError, SealError."""
    if row.host_key is None:
        raise HostKeyUnverifiedError(f"The key of proxy host {row.name!r} has not been accepted yet.")
    secrets = sealer.open(row.sealed_secrets, context(row.id))
    return HostAddress(
        id=row.id,
        address=row.address,
        port=row.port,
        username=row.username,
        host_key=row.host_key,
        private_key=secrets.get("private_key"),
        password=secrets.get("password"),
        sudo=row.sudo,
        work_dir=row.work_dir,
    )


async def patch(session: AsyncSession, row: ProxyHost, given: Json, sealer: Sealer) -> None:
    """Change what was given; null takes a secret or the host key away. What is admitted later keeps to it.

    Raises InUseError when the host would move under its running imports or its uploads, NameInUseError.
    """
    await lock_admission(session)
    changed = {name: value for name, value in given.items() if getattr(row, name, None) != value}
    if PLACES & changed.keys():
        users.refuse("proxy host", [*await _imports(session, row), *await uploads.held_on(session, row.id)])
    secrets = {name: value for name, value in given.items() if name in SECRETS}
    if secrets:
        _seal(row, {**sealer.open(row.sealed_secrets, context(row.id)), **secrets}, sealer)
        row.version += 1
    await names.change(session, row, {n: v for n, v in changed.items() if n not in SECRETS})
    if FOUND_BY & (changed.keys() | secrets.keys()):
        known = row.status if not REACHED_BY & (changed.keys() | secrets.keys()) else HostStatus()
        row.status = known.model_copy(update={"state": _unknown_status(row).state, "problem": None})


async def remove(session: AsyncSession, row: ProxyHost) -> None:
    """Raises InUseError, which names live imports and scans, VMs, storage domains, providers and uploads."""
    # Nothing is admitted to it from here on.
    await lock_admission(session)
    holding = select(col(Disk.vm_id)).where(col(Disk.proxy_host_id) == row.id)
    using = [
        *await _imports(session, row),
        *await users.vms(session, col(Vm.id).in_(holding)),
        *await _domains(session, row),
        *await _providers(session, row),
        *await uploads.held_on(session, row.id),
        *await scans.live_on(session, row.id),
    ]
    users.refuse("proxy host", using)
    await session.execute(delete(Artifact).where(col(Artifact.attempt_id).in_(_attempts_on(row))))
    await uploads.remove_of_host(session, row.id)
    await session.delete(row)


def _attempts_on(row: ProxyHost) -> Select[UUID]:
    return select(col(Attempt.id)).where(col(Attempt.proxy_host_id) == row.id)


async def _imports(session: AsyncSession, row: ProxyHost) -> list[str]:
    """Live imports that run on the host, or asked for it."""
    by_request = users.names(VmImport.spec, "proxy_host_id", row.id)
    return await users.live_imports(session, or_(col(VmImport.proxy_host_id) == row.id, by_request))


async def _domains(session: AsyncSession, row: ProxyHost) -> list[str]:
    """Storage domains that lie on this host alone."""
    is_there = users.names(StorageDomain.settings, "proxy_host_id", row.id)
    found = await session.execute(select(col(StorageDomain.name)).where(is_there).limit(users.MOST_NAMED))
    return [f"storage domain {name!r}" for name in found.scalars()]


async def _providers(session: AsyncSession, row: ProxyHost) -> list[str]:
    """Providers that are reached through this host."""
    statement = select(col(Provider.name)).where(col(Provider.proxy_host_id) == row.id)
    found = await session.execute(statement.limit(users.MOST_NAMED))
    return [f"provider {name!r}" for name in found.scalars()]


async def save_status(session: AsyncSession, host_id: UUID, status: HostStatus) -> ProxyHost:
    """What a probe found. Only news counts as a change of the resource. Raises NotFoundError."""
    row = await get_locked(session, host_id)
    if _news(row.status) != _news(status):
        row.version += 1
    row.status = status
    return row


def _news(status: HostStatus) -> HostStatus:
    """The status without what moves by itself from probe to probe."""
    return status.model_copy(update={"checked_at": None, "free_bytes": None})


async def publics(session: AsyncSession, rows: Sequence[ProxyHost]) -> list[ProxyHostPublic]:
    running = await attempts.running_on(session, [row.id for row in rows])
    return [_public(row, running[row.id]) for row in rows]


async def public(session: AsyncSession, row: ProxyHost) -> ProxyHostPublic:
    return (await publics(session, [row]))[0]


def _public(row: ProxyHost, running_imports: int) -> ProxyHostPublic:
    members = row.model_dump(include=set(ProxyHostPublic.model_fields))
    status = _status_of(row).model_copy(update={"running_imports": running_imports})
    return ProxyHostPublic.model_validate({**members, "status": status})


def _status_of(row: ProxyHost) -> HostStatus:
    """As the last probe found it; a host whose record can't be read is not usable."""
    problem = records.problem(f"proxy host {row.name!r}", row)
    if problem is None:
        return row.status
    return row.status.model_copy(update={"state": HostState.UNUSABLE, "problem": problem})


async def counts(session: AsyncSession) -> dict[str, int]:
    """How many proxy hosts are in each state."""
    found = Counter(row.status.state for row in (await session.execute(select(ProxyHost))).scalars())
    return {state: found[state] for state in HostState}
