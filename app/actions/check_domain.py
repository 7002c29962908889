"""Checks a storage domain as each proxy host of its data center sees it."""

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

from app.db import Database
from app.errors import AppError
from app.models.columns import now
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import DomainHostStatus, DomainState, DomainStatus, StorageDomain
from app.proxy.agent_client import HostAgent
from app.proxy.pool import ProxyPool
from app.secrets import Sealer
from app.services import proxy_hosts, storage_domains


async def check_domain(domain: StorageDomain, agents: Mapping[UUID, HostAgent | AppError]) -> DomainStatus:
    """What each host finds now; one that can't be used is told in the answer. `up`: one host can use it.

    Raises RecordUnreadableError.
    """
    destination, settings = storage_domains.opened(domain)
    only = destination.host_id(settings)
    asked = {host_id: agent for host_id, agent in agents.items() if only in {None, host_id}}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(domain, host_id, agent)) for host_id, agent in asked.items()]
    return _summed_up([task.result() for task in tasks])


async def _ask(domain: StorageDomain, host_id: UUID, agent: HostAgent | AppError) -> DomainHostStatus:
    if isinstance(agent, AppError):
        return _unusable(host_id, agent)
    destination, settings = storage_domains.opened(domain)
    try:
        return await destination.check(settings, agent, host_id)
    except AppError as error:
        return _unusable(host_id, error)


def _unusable(host_id: UUID, error: AppError) -> DomainHostStatus:
    return DomainHostStatus(proxy_host_id=host_id, usable=False, problem=error.to_problem())


def _summed_up(found: Sequence[DomainHostStatus]) -> DomainStatus:
    usable = [status for status in found if status.usable]
    problems = [status.problem for status in found if status.problem is not None]
    state = DomainState.UP if usable else DomainState.UNUSABLE if found else DomainState.UNVERIFIED
    # Hosts that share a file system tell the same; where they differ, the least is what can be counted on.
    return DomainStatus(
        state=state,
        problem=problems[0] if problems and not usable else None,
        checked_at=now(),
        free_bytes=min((s.free_bytes for s in usable if s.free_bytes is not None), default=None),
        total_bytes=min((s.total_bytes for s in usable if s.total_bytes is not None), default=None),
        proxy_hosts=tuple(found),
    )


async def check_storage_domain(
    database: Database, proxies: ProxyPool, sealer: Sealer, domain_id: UUID
) -> StorageDomain:
    """Check the domain through every enabled proxy host of its data center, and save what is found.

    Raises NotFoundError.
    """
    async with database.reading() as session:
        domain = await storage_domains.get(session, domain_id)
        hosts = await proxy_hosts.of_data_center(session, domain.data_center_id)
    async with asyncio.TaskGroup() as group:
        tasks = {host.id: group.create_task(_agent(host, proxies, sealer)) for host in hosts}
    agents = {host_id: task.result() for host_id, task in tasks.items()}
    status = await check_domain(domain, agents)
    async with database.session() as session:
        return await storage_domains.save_status(session, domain_id, status)


async def _agent(host: ProxyHost, proxies: ProxyPool, sealer: Sealer) -> HostAgent | AppError:
    try:
        return await proxies.agent(proxy_hosts.host_address(host, sealer))
    except AppError as error:
        return error
