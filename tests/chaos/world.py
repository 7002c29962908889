"""Everything that a chaos run breaks and looks at: the service, and all that it works with."""

import asyncio
import contextlib
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from app.db import Database
from tests.chaos.client import Client
from tests.chaos.databases import Postgresql, Sqlite
from tests.chaos.hypervisor import Hypervisor
from tests.chaos.limits import LimitWatch
from tests.chaos.load import Images, Load
from tests.chaos.machines import Machine
from tests.chaos.processes import Clock, Program
from tests.chaos.road import Road
from tests.chaos.witness import Truth, Witness, read_truth
from tests.support.ovirt import make_domain
from tests.support.redis import RedisServer
from tests.support.sshd import SshServer, free_port
from tests.support.volume import Volume

START_SECONDS = 180
END_SECONDS = 60
MOST_OF_PROVIDER = 2
MOST_ON_DOMAIN = 6
MOST_ON_HOST = 6
STAND_IN = Path(__file__).parents[1] / "support" / "virt_v2v_stand_in.py"
SETTINGS = {
    "V2V_IMPORT_STOP_GRACE_SECONDS": "3",
    "V2V_IMPORT_AUTOMATIC_RETRY_SECONDS": "2",
    "V2V_IMPORT_ALLOW_LOCAL_PROVIDERS": "true",
}
"""The rest is as it comes: what is measured is what users have."""


@dataclass
class World:
    """One service and its surroundings. Times in seconds; `scale` shortens every outage."""

    root: Path
    chance: random.Random
    scale: float
    database: Sqlite | Postgresql
    redis: RedisServer
    machines: list[Machine]
    """The proxy hosts whose virt-v2v is the stand-in."""
    real_machine: Machine
    service_volume: Volume
    database_volume: Volume
    store_volume: Volume
    port: int = field(default_factory=free_port)
    truth: Truth = field(default_factory=Truth)
    load: Load = field(init=False)
    client: Client = field(init=False)
    witness: Witness = field(init=False)
    rows: Database = field(init=False)
    limits: LimitWatch = field(init=False)
    images: Images = field(init=False)
    up: Program = field(init=False)
    second: Program = field(init=False)
    """A worker beside that of `up`; faults start and end it."""
    real_domain_id: str = ""

    def outage(self, seconds: float) -> float:
        """How long an outage of so many seconds lasts in this run."""
        return max(seconds * self.scale, 0.5)

    def machine(self) -> Machine:
        return self.chance.choice(self.machines)

    @property
    def mounts(self) -> set[str]:
        """Where we have mounted something ourselves."""
        volumes = [self.service_volume, self.database_volume, self.store_volume]
        volumes += [machine.volume for machine in self.machines if machine.volume]
        return {str(volume.path) for volume in volumes}

    @property
    def data_dir(self) -> Path:
        return self.service_volume.path / "data"

    @property
    def log(self) -> Path:
        return self.root / "service.log"

    @property
    def program_dir(self) -> Path:
        return self.root / "program"

    @property
    def stores(self) -> dict[str, Path]:
        """Where each storage domain lies, by its kind."""
        base = self.store_volume.path
        return {"directory": base / "d", "ovirt_data": base / "o"}

    def prepare(self) -> None:
        """The clocks and programs, before anything is started."""
        self.clock, self.second_clock = Clock(self.root / "clock"), Clock(self.root / "second-clock")
        environment = self._environment()
        self.up = Program(
            *("up", "--data-dir", str(self.data_dir), "--port", str(self.port)),
            environment={**environment, **self.clock.environment()},
            log=self.log,
        )
        self.second = Program(
            "worker", environment={**environment, **self.second_clock.environment()}, log=self.log
        )
        self.images = Images(self.root / "sources")

    def _environment(self) -> Mapping[str, str]:
        return {
            **SETTINGS,
            "V2V_IMPORT_DATA_DIR": str(self.data_dir),
            "V2V_IMPORT_DATABASE_URL": self.database.url,
            "V2V_IMPORT_REDIS_URL": self.redis.url,
        }

    async def until_ready(self) -> None:
        url = f"http://127.0.0.1:{self.port}/readyz"
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False, timeout=2) as http:
            while True:
                assert self.up.is_running(), self.log.read_text()[-5000:]
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get(url)).is_success:
                        return
                await asyncio.sleep(0.1)

    async def furnish(self, guest: Path | None) -> None:
        """The records with which imports are made."""
        token = (self.data_dir / "admin-token").read_text().strip()
        self.client = Client(f"http://127.0.0.1:{self.port}", token)
        self.witness = Witness(self.client)
        self.rows = Database(self.database.url)
        north = (await self._made("/v1/data-centers", {"name": "north"}))["id"]
        for machine in self.machines:
            record = machine.record(north, [self.images.directory])
            machine.id = (await self._made("/v1/proxy-hosts", record))["id"]
        self.stores["directory"].mkdir()
        self.stores["ovirt_data"].mkdir()
        paths = {"directory": self.stores["directory"], "ovirt_data": make_domain(self.stores["ovirt_data"])}
        domains = {kind: await self._domain(north, kind, path) for kind, path in paths.items()}
        hypervisor = Hypervisor(self.root / "vms.xml")
        provider = {
            "name": "east",
            "kind": "kvm",
            "url": hypervisor.url,
            "max_concurrent_imports": MOST_OF_PROVIDER,
        }
        provider_id = (await self._made("/v1/providers", provider))["id"]
        self.load = Load(
            self.client,
            self.images,
            domains,
            providers={provider_id: hypervisor},
            chance=self.chance,
            stretch=1 + 2 * self.scale,
        )
        most = {machine.id: machine.most_imports for machine in self.machines}
        most |= dict.fromkeys(domains.values(), MOST_ON_DOMAIN) | {provider_id: MOST_OF_PROVIDER}
        self.limits = LimitWatch(self.rows, {UUID(place): limit for place, limit in most.items()})
        if guest is not None:
            south = (await self._made("/v1/data-centers", {"name": "south"}))["id"]
            record = self.real_machine.record(south, [guest.parent])
            self.real_machine.id = (await self._made("/v1/proxy-hosts", record))["id"]
            store = self.root / "real-store"
            store.mkdir()
            self.real_domain_id = await self._domain(south, "directory", store)

    async def _made(self, path: str, body: dict[str, Any]) -> Any:
        answer = await self.client.post(path, body)
        assert answer.is_success, answer.text
        return answer.json()

    async def _domain(self, data_center_id: str, kind: str, path: Path) -> str:
        settings = {"path": str(path)}
        body = {
            "data_center_id": data_center_id,
            "name": path.name,
            "kind": kind,
            "settings": settings,
            "max_concurrent_imports": MOST_ON_DOMAIN,
        }
        made: str = (await self._made("/v1/storage-domains", body))["id"]
        return made


@contextlib.asynccontextmanager
async def running_world(kind: str, *, seed: int, scale: float, guest: Path | None) -> AsyncIterator[World]:
    """A service on SQLite or PostgreSQL, two proxy hosts, and a third with the real virt-v2v for a guest."""
    # Sockets lie in the hosts' work directories, and their paths are limited.
    root = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
    root.chmod(0o755)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        world = _build(root, kind, random.Random(seed), scale, stack)
        world.prepare()
        await world.database.start()
        stack.push_async_callback(world.database.stop)
        world.redis.start()
        stack.callback(world.redis.stop)
        for machine in (*world.machines, world.real_machine):
            await machine.start()
            stack.push_async_callback(machine.stop)
        world.up.start()
        stack.push_async_callback(_end, world)
        await world.until_ready()
        await world.furnish(guest)
        for task in (world.witness.run(), read_truth(world.redis.url, world.truth), world.limits.run()):
            stack.callback(asyncio.create_task(task).cancel)
        yield world


async def _end(world: World) -> None:
    for program in (world.second, world.up):
        if program.is_running():
            with contextlib.suppress(TimeoutError):
                await program.end(seconds=END_SECONDS)
    await world.client.close()
    await world.rows.close()


def _build(
    root: Path, kind: str, chance: random.Random, scale: float, stack: contextlib.AsyncExitStack
) -> World:
    def volume(name: str) -> Volume:
        made = Volume(root / name)
        made.mount()
        stack.callback(made.unmount)
        return made

    program_dir = root / "program"
    program_dir.mkdir()
    program = program_dir / "virt-v2v"
    variables = f"V2V_STAND_IN_DIR={program_dir} V2V_STAND_IN_VERSION=2.4.0"
    program.write_text(f'#!/bin/sh\n{variables} exec {sys.executable} {STAND_IN} "$@"\n')
    program.chmod(0o755)
    service, store = volume("service"), volume("store")
    held = service if kind == "sqlite" else volume("pg")
    database = Sqlite(service.path / "data" / "v2v.sqlite3") if kind == "sqlite" else Postgresql(held)
    (root / "redis").mkdir()
    machines = [_machine(root, f"m{n}", str(program), volume(f"m{n}")) for n in (1, 2)]
    return World(
        root=root,
        chance=chance,
        scale=scale,
        database=database,
        redis=RedisServer(root / "redis"),
        machines=machines,
        real_machine=_machine(root, "real", "virt-v2v", None),
        service_volume=service,
        database_volume=held,
        store_volume=store,
    )


def _machine(root: Path, name: str, virt_v2v_path: str, volume: Volume | None) -> Machine:
    keys, home = root / f"{name}-keys", root / name
    for made in (keys, home):
        made.mkdir(exist_ok=True)
    most = MOST_ON_HOST if volume else 1
    return Machine(name, SshServer(keys), Road(0), home, virt_v2v_path, most, volume)
