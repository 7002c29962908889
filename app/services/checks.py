"""Proxy hosts as their last probes found them: which are due for another, which are up."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.models.columns import now
from app.models.imports import VmImport
from app.models.proxy_hosts import HostState, ProxyHost


async def hosts_due(session: AsyncSession, *, check_seconds: float, retry_seconds: float) -> list[ProxyHost]:
    """Hosts whose last probe is too long ago; one that doesn't answer is asked again sooner."""
    hosts = (await session.execute(select(ProxyHost))).scalars()
    return [host for host in hosts if _is_due(host, check_seconds, retry_seconds)]


async def is_another_up(session: AsyncSession, row: VmImport) -> bool:
    """Whether the data center has a usable proxy host besides the import's own and those left out."""
    statement = select(ProxyHost).where(
        col(ProxyHost.data_center_id) == row.data_center_id, col(ProxyHost.enabled).is_(True)
    )
    left_out = {row.proxy_host_id, *row.excluded_host_ids}
    hosts = (await session.execute(statement)).scalars()
    return any(host.status.state is HostState.UP and host.id not in left_out for host in hosts)


def _is_due(host: ProxyHost, check_seconds: float, retry_seconds: float) -> bool:
    status = host.status
    if not host.enabled:
        return status.state is not HostState.DISABLED
    if status.checked_at is None or status.state in {HostState.CHECKING, HostState.DISABLED}:
        return True
    seconds = retry_seconds if status.state is HostState.UNREACHABLE else check_seconds
    # A clock that was set back must not stop the checks.
    return abs(now() - status.checked_at) >= timedelta(seconds=seconds)
