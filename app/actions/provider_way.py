"""Makes the way to a provider for one question: directly, or through its proxy host."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final

from app.errors import (
    HostAuthenticationError,
    HostDeadlineError,
    HostError,
    HostKeyMismatchError,
    HostUnreachableError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderKeyMismatchError,
    ProviderKeyUnverifiedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    RecordUnreadableError,
)
from app.models.common import Json
from app.providers import kind_of
from app.providers.base import ProviderAccess
from app.providers.urls import Reach
from app.proxy import tunnels
from app.proxy.base import HostAddress
from app.proxy.host_keys import offered_host_key
from app.proxy.ssh import SshProxy, connect

DIRECT: Final[Json] = {"kind": "direct"}
AS_PROVIDERS: Final[tuple[tuple[type[HostError], type[ProviderError]], ...]] = (
    (HostUnreachableError, ProviderUnreachableError),
    (HostDeadlineError, ProviderTimeoutError),
    (HostAuthenticationError, ProviderAuthenticationError),
    (HostKeyMismatchError, ProviderKeyMismatchError),
)
"""What went wrong at the provider's host, told as what it is; the proxy host's own failures stay such."""


@asynccontextmanager
async def way_to(access: ProviderAccess, through: SshProxy | None) -> AsyncIterator[Json]:
    """The `way` of a child's request (`app.children`); what it needs is there until the block ends.

    Raises ProviderKeyUnverifiedError, ProviderKeyMismatchError, ProviderAuthenticationError,
    ProviderUnreachableError, ProviderTimeoutError.
    """
    async with AsyncExitStack() as stack:
        yield await _way(access, through, stack)


async def _way(access: ProviderAccess, through: SshProxy | None, stack: AsyncExitStack) -> Json:
    if access.url.reach is Reach.SSH:
        return await _by_ssh(access, through, stack)
    if through is None:
        return DIRECT
    host, port = _place(access)
    with told_of_provider():
        await tunnels.reach_port(through, host, port)
    if access.url.reach is Reach.TCP:
        path = await stack.enter_async_context(tunnels.socket_to_port(through, host, port))
        return {"kind": "socket", "path": str(path)}
    tunnel = await stack.enter_async_context(tunnels.http_tunnel(through, host, port))
    return {
        "kind": "http_connect",
        "host": tunnel.host,
        "port": tunnel.port,
        "username": tunnel.username,
        "password": tunnel.password.get_secret_value(),
    }


async def _by_ssh(access: ProviderAccess, through: SshProxy | None, stack: AsyncExitStack) -> Json:
    candidates = kind_of(access.kind).sockets(access.options)
    address = _address(access)
    with told_of_provider():
        proxy = await connect(address, through=through)
        stack.push_async_callback(_end, proxy)
        path = await stack.enter_async_context(tunnels.socket_to_socket(proxy, candidates))
    return {"kind": "socket", "path": str(path)}


async def _end(proxy: SshProxy) -> None:
    proxy.close()
    await proxy.wait_closed()


def _place(access: ProviderAccess) -> tuple[str, int]:
    host, port = access.url.host, access.url.effective_port
    if host is None or port is None:
        raise RecordUnreadableError("The provider's URL names no host.")
    return host, port


def _address(access: ProviderAccess) -> HostAddress:
    """The provider's host as an SSH peer. Raises ProviderKeyUnverifiedError."""
    host, port = _place(access)
    if access.ssh is None or access.ssh.host_key is None:
        raise ProviderKeyUnverifiedError(
            f"The SSH host key of provider {access.name!r} was not accepted yet."
        )
    return HostAddress(
        id=access.id,
        address=host,
        port=port,
        username=access.ssh.username,
        host_key=access.ssh.host_key,
        private_key=access.ssh.private_key,
        password=access.ssh.password,
        sudo=False,
        work_dir="",
    )


def ssh_place(access: ProviderAccess) -> tuple[str, int] | None:
    """The host and port of the SSH server by which the provider, or its VMs' disks, are reached."""
    port = kind_of(access.kind).ssh_port(access.url, access.options)
    return (access.url.host, port) if access.url.host is not None and port is not None else None


async def offered_key(access: ProviderAccess, through: SshProxy | None) -> str:
    """The SSH host key that the provider's host shows. Raises ProviderUnreachableError, …."""
    place = ssh_place(access)
    if place is None:
        raise RecordUnreadableError("The provider is not reached by SSH.")
    host, port = place
    with told_of_provider():
        return await offered_host_key(host, port, through=through)


@contextmanager
def told_of_provider() -> Iterator[None]:
    try:
        yield
    except HostError as error:
        kind = next((told for host, told in AS_PROVIDERS if isinstance(error, host)), ProviderError)
        raise kind(error.detail) from error
