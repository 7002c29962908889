"""The service's database in a chaos run, which a fault may restart or lock, and what lies in it."""

import asyncio
import contextlib
import os
import pwd
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from app.db import Database
from app.models.attempts import Attempt, Reservation
from app.models.imports import VmImport
from app.models.state import ENDED
from app.models.vms import Disk, DiskState, Vm, VmName, VmState
from tests.support.database import OWNER, PostgresServer
from tests.support.volume import Volume

NAME = "chaos"


class Sqlite:
    """A file in the service's data directory."""

    kind = "sqlite"

    def __init__(self, file: Path) -> None:
        self.file = file
        self.url = f"sqlite+aiosqlite:///{file}"

    async def start(self) -> None:
        """`up` makes it."""

    async def stop(self) -> None:
        """There is no server."""

    async def interrupt(self, seconds: float) -> None:
        """Another program holds the file, and nobody else can write or read."""
        await asyncio.to_thread(self._lock)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._connection.close()

    def _lock(self) -> None:
        self._connection = sqlite3.connect(
            self.file, timeout=60, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("BEGIN EXCLUSIVE")

    async def revive(self) -> None:
        """A full disk harms no server."""


class Postgresql:
    """A server of its own, on a volume of its own."""

    kind = "postgresql"

    def __init__(self, volume: Volume) -> None:
        self._server = PostgresServer(volume.path)
        self.url = self._server.url(NAME)

    async def start(self) -> None:
        owner = pwd.getpwnam(OWNER)
        os.chown(self._server.directory, owner.pw_uid, owner.pw_gid)
        await asyncio.to_thread(self._server.start)
        await asyncio.to_thread(self._server.create, NAME)

    async def stop(self) -> None:
        with contextlib.suppress(AssertionError):
            await asyncio.to_thread(self._server.stop)

    async def interrupt(self, seconds: float) -> None:
        """It crashes, and is started again after a while."""
        await asyncio.to_thread(self._server.stop)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self._server.start)

    async def revive(self) -> None:
        """A full disk may have ended it; what the administrator does then."""
        await self.stop()
        await asyncio.to_thread(self._server.start)


@dataclass(frozen=True)
class Ledger:
    """What the database says at one moment."""

    live_attempts: frozenset[UUID]
    disk_paths: frozenset[str]
    """Of the VMs there are."""
    faults: tuple[str, ...]
    """Rows that contradict each other, as sentences."""


async def read_ledger(database: Database) -> Ledger:
    async with database.reading() as session:
        imports = (await session.execute(select(VmImport))).scalars().all()
        attempts = (await session.execute(select(Attempt))).scalars().all()
        vms = (await session.execute(select(Vm))).scalars().all()
        disks = (await session.execute(select(Disk))).scalars().all()
        held = (await session.execute(select(col(Reservation.attempt_id)))).scalars().all()
        names = (await session.execute(select(col(VmName.import_id)))).scalars().all()
    ended = {row.id for row in imports if row.state in ENDED}
    over = {attempt.id for attempt in attempts if attempt.finished_at is not None}
    faults = [
        *(f"VM {vm.id} is {vm.state}" for vm in vms if vm.state != VmState.DOWN and vm.import_id in ended),
        *(f"disk {disk.id} is {disk.state}" for disk in disks if _is_stuck(disk, vms, ended)),
        *(f"attempt {attempt_id} still holds a slot" for attempt_id in over.intersection(held)),
        *(f"attempt {one.id} is still followed" for one in attempts if one.followed and one.id in over),
        *(f"import {row.id} still has a worker" for row in imports if row.id in ended and row.worker_id),
        *(f"import {import_id} still holds a name" for import_id in ended.intersection(names)),
    ]
    return Ledger(
        live_attempts=frozenset(attempt.id for attempt in attempts if attempt.id not in over),
        disk_paths=frozenset(disk.path for disk in disks if disk.path),
        faults=tuple(faults),
    )


def _is_stuck(disk: Disk, vms: Sequence[Vm], ended: set[UUID]) -> bool:
    owner = next((vm for vm in vms if vm.id == disk.vm_id), None)
    return disk.state != DiskState.OK and (owner is None or owner.import_id in ended)
