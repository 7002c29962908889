"""What every job needs, built once by the worker."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import SecretStr

from app import logs
from app.actions.announce import announce
from app.actions.ask_child import Children
from app.actions.providers import Providers
from app.db import Database
from app.events import Events
from app.models.imports import VmImport
from app.proxy.agent_client import HostAgent
from app.proxy.pool import ProxyPool
from app.queue import Queue
from app.secrets import Sealer
from app.services import admission, provider_records, providers, proxy_hosts
from app.settings import Settings

log = logs.get("jobs")


class Passes:
    """Counts passes of admission in this process: calls that come during one share the next."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.asked = 0
        self.done = 0


@dataclass(frozen=True)
class Context:
    settings: Settings
    database: Database
    sealer: Sealer
    queue: Queue
    events: Events
    proxies: ProxyPool
    worker_id: UUID
    children: Children = field(default_factory=Children)
    launched: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is something new to follow; the watchers look without it, too, only later."""
    passes: Passes = field(default_factory=Passes)

    @property
    def providers(self) -> Providers:
        return Providers(self.database, self.sealer, self.proxies, self.children, self.settings)

    async def agent(self, host_id: UUID, *, waits: bool = True) -> HostAgent:
        """The agent on a proxy host; `waits` as the pool has it. Raises NotFoundError, HostError."""
        async with self.database.reading() as session:
            host = await proxy_hosts.get(session, host_id)
        return await self.proxies.agent(proxy_hosts.host_address(host, self.sealer), waits=waits)

    async def secrets(self, row: VmImport) -> list[SecretStr]:
        """All that virt-v2v may be told for the import, to be masked in what it says.

        Raises SealError, NotFoundError, RecordUnreadableError.
        """
        own = self.sealer.open(row.sealed_secrets, f"vm_imports:{row.id}")
        if row.provider_id is None:
            return list(own.values())
        async with self.database.reading() as session:
            provider = await providers.get(session, row.provider_id)
        return [*own.values(), *provider_records.secrets(provider, self.sealer).values()]

    async def announce(self, import_id: UUID) -> None:
        """Tell clients the import's newest state. What fails now fails no turn: the sweep makes up for it."""
        try:
            await announce(self.database, self.events, import_id)
        except Exception as error:  # noqa: BLE001  # events are a courtesy, whatever is wrong with them
            log.warning("announce.failed", import_id=str(import_id), error=str(error))

    async def admit(self) -> None:
        """Begin the queued imports that can begin now, and wake them."""
        self.passes.asked += 1
        mine = self.passes.asked
        async with self.passes.lock:
            if self.passes.done >= mine:
                return
            seen = self.passes.asked
            admitted, failed = await self._pass()
            self.passes.done = seen
        await asyncio.gather(*(self.queue.wake(import_id) for import_id in admitted))
        for import_id in (*admitted, *failed):
            await self.announce(import_id)

    async def _pass(self) -> tuple[list[UUID], list[UUID]]:
        async with self.database.reading() as session:
            line = await admission.line_up(session)
            if not await admission.can_any_begin(session, line):
                return [], []
        async with self.database.session() as session:
            return await admission.admit(session, line)
