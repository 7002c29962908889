"""Keeps one connection to each proxy host, with the agent program in place."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

from app.errors import HostError
from app.proxy.agent_client import HostAgent
from app.proxy.answers import answer_of
from app.proxy.base import HostAddress, Proxy
from app.proxy.program import agent_program
from app.proxy.ssh import SshProxy, connect

RETRY_SECONDS = 1.0
"""A connection that failed isn't tried again sooner: sshd drops logins that come in crowds."""
INSTALL_SECONDS = 30.0


class _Connected(HostAgent):
    """An agent with the connection that the pool has to close."""

    def __init__(self, proxy: SshProxy, agent_path: str, installation_id: UUID) -> None:
        super().__init__(proxy, agent_path, installation_id, lambda: put_in_place(proxy, agent_path))
        self.connection = proxy


@dataclass
class _Entry:
    """A host's connection, being made, made, or failed."""

    address: HostAddress
    task: asyncio.Task[_Connected]
    before: HostError | None = None
    """How the try before this one failed."""
    ended_at: float | None = field(default=None)

    def serves(self, address: HostAddress) -> bool:
        """Whether it is what a caller for this address should get: a fresh failure is an answer too."""
        if self.address != address:
            return False
        if not self.task.done():
            return True
        if self.task.cancelled():
            return False
        if self.task.exception() is not None:
            return self.ended_at is not None and time.monotonic() < self.ended_at + RETRY_SECONDS
        return not self.task.result().connection.is_closed

    def failure(self) -> HostError | None:
        """How it failed; None while it is being made, or when it was made."""
        if not self.task.done() or self.task.cancelled():
            return None
        error = self.task.exception()
        return error if isinstance(error, HostError) else None

    def discard(self) -> SshProxy | None:
        """End it; the connection that is to be waited for, if there is one."""
        self.task.cancel()
        if not self.task.done() or self.task.cancelled() or self.task.exception() is not None:
            return None
        connection = self.task.result().connection
        connection.close()
        return connection

    def note_end(self, task: asyncio.Task[_Connected]) -> None:
        self.ended_at = time.monotonic()
        if not task.cancelled():
            # Looked at here, for every caller may have gone away by now.
            task.exception()


class ProxyPool:
    """The proxy hosts' agents. Callers that come together share one connection."""

    def __init__(self, installation_id: Callable[[], Awaitable[UUID]]) -> None:
        """`installation_id` tells whose mark the agents put on what they make; asked at each connection."""
        self._installation_id = installation_id
        self._entries: dict[UUID, _Entry] = {}

    async def agent(self, address: HostAddress, *, waits: bool = True) -> HostAgent:
        """The connected agent; a changed address means a new connection.

        Without `waits`, while a host that failed is tried once more, its last failure is the answer to all
        but the one who tries: hundreds that want a dead host must not stand in the way of the others.

        Raises HostError subclasses: not reached, refused, WorkDirUnusableError, PythonMissingError, ….
        """
        entry = self._entries.get(address.id)
        if entry is None or not entry.serves(address):
            entry = self._renew(address)
        elif not waits and entry.before is not None and not entry.task.done():
            raise type(entry.before)(entry.before.detail)
        # A caller that goes away must not take the others' connection with it.
        return await asyncio.shield(entry.task)

    async def connection(self, address: HostAddress) -> SshProxy:
        """The connection itself, for tunnels through the host. Raises HostError subclasses."""
        entry = self._entries.get(address.id)
        if entry is None or not entry.serves(address):
            entry = self._renew(address)
        return (await asyncio.shield(entry.task)).connection

    async def forget(self, host_id: UUID) -> None:
        """Close the host's connection, if there is one."""
        entry = self._entries.pop(host_id, None)
        if entry is not None:
            await _end(entry)

    async def close(self) -> None:
        entries = list(self._entries.values())
        self._entries.clear()
        await asyncio.gather(*(_end(entry) for entry in entries))

    def _renew(self, address: HostAddress) -> _Entry:
        old = self._entries.pop(address.id, None)
        before = old.failure() if old is not None and old.address == address else None
        if old is not None:
            old.discard()
        connecting = _connected(address, self._installation_id)
        task = asyncio.create_task(connecting, name=f"connect to {address.address}")
        entry = _Entry(address, task, before)
        task.add_done_callback(entry.note_end)
        self._entries[address.id] = entry
        return entry


async def _connected(address: HostAddress, installation_id: Callable[[], Awaitable[UUID]]) -> _Connected:
    marked_by = await installation_id()
    proxy = await connect(address)
    try:
        path = f"{address.work_dir}/agent/{agent_program().name}"
        await put_in_place(proxy, path)
    except BaseException:
        proxy.close()
        raise
    return _Connected(proxy, path, marked_by)


async def put_in_place(proxy: Proxy, path: str) -> None:
    """Put the agent program onto the host.

    Raises WorkDirUnusableError, PythonMissingError, SudoRefusedError, HostError.
    """
    program = agent_program()
    argv = ["python3", "-I", "-S", "-c", program.installer, path]
    answer_of("install", await proxy.run(argv, timeout_seconds=INSTALL_SECONDS, stdin=program.data))


async def _end(entry: _Entry) -> None:
    connection = entry.discard()
    if connection is not None:
        await connection.wait_closed()
        return
    try:
        await entry.task
    except (HostError, asyncio.CancelledError):
        return
