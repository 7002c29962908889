"""The engine with real parts: database, sshd, the agent, and a tiny virt-v2v."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.actions.ask_child import Children
from app.actions.providers import Providers
from app.db import Database
from app.events import Events
from app.jobs.advance_import import advance_import
from app.jobs.context import Context
from app.jobs.step import Step
from app.jobs.steps import STEPS
from app.jobs.watch import Watchers
from app.models.attempts import Attempt
from app.models.imports import VmImport
from app.models.proxy_hosts import ProxyHost
from app.models.state import ENDED
from app.proxy.pool import ProxyPool
from app.queue import Queue
from app.services import attempts, imports, installation, log_chunks, workers
from app.services.specs import ImportRetry
from app.settings import Settings
from tests.support.hosts import end_jobs
from tests.support.programs import PROGRAMS
from tests.support.rows import SEALER, Site
from tests.support.sshd import SshServer
from tests.support.tiny_virt_v2v import TinyVirtV2v

MIB = 2**20
QUICK: dict[str, Any] = {
    "host_retry_seconds": 0.2,
    "stop_grace_seconds": 1.0,
    "progress_save_seconds": 0.3,
    "beat_seconds": 0.2,
    "worker_dead_after_seconds": 1.0,
    "sweep_seconds": 0.1,
    "turn_timeout_seconds": 30.0,
}


class Engine:
    """One worker's parts, driven by the test."""

    def __init__(self, root: Path, database: Database, sshd: SshServer, redis_url: str) -> None:
        self.work_dir, self.sources, self.store = root / "w", root / "sources", root / "store"
        for directory in (self.work_dir, self.sources, self.store):
            directory.mkdir()
        (root / "bin").mkdir()
        self.virt_v2v = TinyVirtV2v(root / "bin")
        self.database, self.sshd, self.redis_url = database, sshd, redis_url
        self.site = Site(database)
        self.proxies = ProxyPool(partial(installation.read_id, database))
        self.children = Children(package=PROGRAMS)
        self.settings = Settings(**QUICK, allow_local_providers=True)

    async def build(self) -> None:
        await self.site.build(
            host={
                "address": "127.0.0.1",
                "port": self.sshd.port,
                "username": self.sshd.address(self.work_dir).username,
                "host_key": self.sshd.host_key,
                "work_dir": str(self.work_dir),
                "virt_v2v_path": str(self.virt_v2v.path),
                "source_roots": (str(self.sources),),
            },
            domain={"settings": {"path": str(self.store)}},
        )
        async with self.database.session() as session:
            host = await session.get_one(ProxyHost, self.site.host_id)
            host.sealed_secrets = self._sealed(host.id)

    @property
    def providers(self) -> Providers:
        return Providers(self.database, SEALER, self.proxies, self.children, self.settings)

    async def context(self, **settings: Any) -> Context:
        """A worker of its own, registered."""
        async with self.database.session() as session:
            worker_id = (await workers.register(session)).id
        return Context(
            settings=self.settings.model_copy(update=settings),
            database=self.database,
            sealer=SEALER,
            queue=Queue(self.redis_url),
            events=Events(self.redis_url, live_events=1000),
            proxies=self.proxies,
            children=self.children,
            worker_id=worker_id,
        )

    def source(self, name: str = "web-1.img", size_bytes: int = 4 * MIB) -> str:
        """An image to import; its path."""
        path = self.sources / name
        with path.open("wb") as image:
            image.truncate(size_bytes)
        return str(path)

    async def queue(self, **members: Any) -> UUID:
        """An import of one disk, admitted."""
        members.setdefault("path", self.source())
        import_id = await self.site.queue(**members)
        await self.site.admit()
        return import_id

    async def drive(
        self, context: Context, import_id: UUID, *, steps: Sequence[Step] = STEPS, seconds: float = 60
    ) -> VmImport:
        """Turns, one after the other, until the import has ended."""
        async with asyncio.timeout(seconds):
            while (row := await self.site.row(import_id)).state not in ENDED:
                await advance_import(context, import_id, steps)
                await asyncio.sleep(0.05)
        return row

    async def has_ended(self, import_id: UUID) -> bool:
        return (await self.site.row(import_id)).state in ENDED

    async def is_past(self, import_id: UUID, *, turn: int) -> bool:
        """Whether a later turn has begun."""
        return (await self.site.row(import_id)).turn > turn

    async def cancel(self, import_id: UUID, *, force: bool = False) -> None:
        async with self.database.session() as session:
            row = await imports.get_locked(session, import_id)
            await imports.cancel(session, row, force=force)

    async def retry(self, import_id: UUID) -> None:
        async with self.database.session() as session:
            await imports.retry(session, await imports.get_locked(session, import_id), ImportRetry())

    async def attempts(self, import_id: UUID) -> list[Attempt]:
        """All of them, in order."""
        async with self.database.reading() as session:
            return (await attempts.of_imports(session, [import_id]))[import_id]

    async def log(self, import_id: UUID) -> bytes:
        """The kept log of the current attempt."""
        attempt = await self.site.attempt(import_id)
        async with self.database.reading() as session:
            kept = await log_chunks.kept(session, attempt.id)
            return b"".join([piece async for piece in log_chunks.read(session, kept, 0, kept.size_bytes)])

    async def bury(self, context: Context) -> None:
        """The others take this worker for dead."""
        async with self.database.session() as session:
            await workers.remove(session, context.worker_id)

    async def set_host(self, **members: Any) -> None:
        async with self.database.session() as session:
            host = await session.get_one(ProxyHost, self.site.host_id)
            for name, value in members.items():
                setattr(host, name, value)

    async def second_host(self, **members: Any) -> UUID:
        """This machine once more, as another proxy host."""
        async with self.database.session() as session:
            first = await session.get_one(ProxyHost, self.site.host_id)
            same = {name: getattr(first, name) for name in ProxyHost.model_fields}
            host = ProxyHost(**{**same, "id": uuid4(), "name": "proxy-2", **members})
            host.sealed_secrets = self._sealed(host.id)
            session.add(host)
        return host.id

    def _sealed(self, host_id: UUID) -> bytes:
        return SEALER.seal({"private_key": self.sshd.client_key}, f"proxy_hosts:{host_id}")

    @contextlib.asynccontextmanager
    async def watching(self, context: Context, *, idle_seconds: float = 5) -> AsyncIterator[None]:
        task = asyncio.create_task(Watchers(context, idle_seconds=idle_seconds).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    def left_on_the_host(self) -> list[str]:
        """Files of attempts and of VMs."""
        found = [self.work_dir / "attempts", self.store]
        return sorted(str(path) for base in found if base.is_dir() for path in base.rglob("*"))

    async def close(self) -> None:
        await self.proxies.close()


@pytest.fixture
async def engine(database: Database, sshd: SshServer) -> AsyncIterator[Engine]:
    """Without Redis: nobody is woken, nothing is told, and everything goes on."""
    async with engine_on(database, sshd) as made:
        yield made


@contextlib.asynccontextmanager
async def engine_on(database: Database, sshd: SshServer) -> AsyncIterator[Engine]:
    """An engine whose one proxy host is this server."""
    root = Path(tempfile.mkdtemp(prefix="v2v-", dir="/tmp"))
    made = Engine(root, database, sshd, f"unix://{root}/no-redis.sock")
    try:
        await made.build()
        yield made
    finally:
        await made.close()
        end_jobs(made.work_dir)
        shutil.rmtree(root, ignore_errors=True)
