"""Periodic checks: which proxy hosts are due for a probe."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.columns import now
from app.models.proxy_hosts import HostState, ProxyHost


async def hosts_due(session: AsyncSession, *, check_seconds: float, retry_seconds: float) -> list[ProxyHost]:
    """Hosts whose last probe is too long ago; one that doesn't answer is asked again sooner."""
    hosts = (await session.execute(select(ProxyHost))).scalars()
    return [host for host in hosts if _is_due(host, check_seconds, retry_seconds)]


def _is_due(host: ProxyHost, check_seconds: float, retry_seconds: float) -> bool:
    status = host.status
    if not host.enabled:
        return status.state is not HostState.DISABLED
    if status.checked_at is None or status.state in {HostState.CHECKING, HostState.DISABLED}:
        return True
    seconds = retry_seconds if status.state is HostState.UNREACHABLE else check_seconds
    # A clock that was set back must not stop the checks.
    return abs(now() - status.checked_at) >= timedelta(seconds=seconds)
