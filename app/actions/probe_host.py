"""Probes a proxy host: whether it can be reached and used, and what its virt-v2v can do."""

from uuid import UUID

from app.db import Database
from app.errors import (
    AppError,
    HostAuthenticationError,
    HostConnectionLostError,
    HostDeadlineError,
    HostError,
    HostKeyMismatchError,
    HostKeyUnverifiedError,
    HostUnreachableError,
    SudoRefusedError,
    VirtV2vTooOldError,
)
from app.models.columns import now
from app.models.proxy_hosts import HostState, HostStatus, ProxyHost
from app.proxy.agent_client import HostProbe
from app.proxy.base import HostAddress
from app.proxy.host_keys import fingerprint, offered_host_key
from app.proxy.pool import ProxyPool
from app.secrets import Sealer
from app.services import proxy_hosts, records, turns
from app.v2v.features import features_of, status_of

OLDEST = (1, 38)
"""The first virt-v2v with `-ip`, `-oo` and a machine-readable stream."""

UNREACHABLE = (
    HostUnreachableError,
    HostConnectionLostError,
    HostDeadlineError,
    HostAuthenticationError,
    HostKeyMismatchError,
)


async def probe_host(host: ProxyHost, address: HostAddress | None, proxies: ProxyPool) -> HostStatus:
    """What is found now; a failure is told in the status. No address: the host key was not accepted yet."""
    if not host.enabled:
        return status_with(host, HostState.DISABLED)
    if address is None:
        return await _unverified(host)
    try:
        agent = await proxies.agent(address)
        probe = await agent.probe(virt_v2v_path=host.virt_v2v_path, environment=host.environment)
    except UNREACHABLE as error:
        return status_with(host, HostState.UNREACHABLE, error)
    except HostError as error:
        return status_with(host, HostState.UNUSABLE, error)
    return _found(host, probe)


def status_with(host: ProxyHost, state: HostState, error: AppError | None = None) -> HostStatus:
    """What was known of the host stays known."""
    problem = error.to_problem() if error else None
    return host.status.model_copy(update={"state": state, "problem": problem, "checked_at": now()})


async def _unverified(host: ProxyHost) -> HostStatus:
    """The key that the host offers, for an administrator to compare."""
    try:
        key = await offered_host_key(host.address, host.port)
    except HostError as error:
        return status_with(host, HostState.UNREACHABLE, error)
    return HostStatus(
        state=HostState.UNVERIFIED,
        problem=HostKeyUnverifiedError().to_problem(),
        checked_at=now(),
        offered_host_key=key,
        fingerprint=fingerprint(key),
    )


def _found(host: ProxyHost, probe: HostProbe) -> HostStatus:
    virt_v2v = status_of(probe.v2v_version, probe.v2v_capabilities)
    error: HostError | None = None
    if host.sudo and not probe.is_root:
        error = SudoRefusedError(f"`sudo` left {host.username!r} without root's rights.")
    elif features_of(virt_v2v).version < OLDEST:
        oldest = ".".join(str(part) for part in OLDEST)
        error = VirtV2vTooOldError(f"The host has virt-v2v {virt_v2v.version}; {oldest} or newer is needed.")
    return HostStatus(
        state=HostState.UNUSABLE if error else HostState.UP,
        problem=error.to_problem() if error else None,
        checked_at=now(),
        offered_host_key=host.host_key,
        fingerprint=fingerprint(host.host_key) if host.host_key else None,
        virt_v2v=virt_v2v,
        cpu_count=probe.cpu_count,
        memory_bytes=probe.memory_bytes,
        free_bytes=probe.free_bytes,
        boot_id=probe.boot_id,
    )


async def check_proxy_host(
    database: Database, proxies: ProxyPool, sealer: Sealer, host_id: UUID
) -> ProxyHost:
    """Probe the host now and save what is found. Raises NotFoundError, RecordUnreadableError, SealError."""
    async with database.reading() as session:
        host = await proxy_hosts.get(session, host_id)
    records.check(f"proxy host {host.name!r}", host, {"environment", "source_roots"})
    address = None if host.host_key is None else proxy_hosts.host_address(host, sealer)
    status = await probe_host(host, address, proxies)
    async with database.session() as session:
        found = await proxy_hosts.save_status(session, host_id, status)
    await call_back(database, host, status)
    return found


async def call_back(database: Database, host: ProxyHost, status: HostStatus) -> None:
    """After the status is saved: imports that wait for a host that was away need wait no longer.

    In a transaction of its own, for turns hold their import before they ask for the host.
    """
    if status.state is HostState.UP and host.status.state is not HostState.UP:
        async with database.session() as session:
            await turns.call_troubled(session, host.id)
