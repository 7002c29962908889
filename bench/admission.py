#!/usr/bin/env python3
"""Measures admission while thousands of imports wait, on SQLite and on a private PostgreSQL.

    .venv/bin/python bench/admission.py [QUEUED] [WORKERS]

There are 20 proxy hosts with ten slots each and 20 storage domains; every tenth import asks for a host by its
id. Prints, for each database: how long a look takes that finds nothing to begin; how long a pass takes that
gives every slot out; and what the queue drains at when each import ends as soon as it has begun and several
workers admit at the same time. Figures in parentheses are the ratio to a queue of a tenth of the length.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import select

from app.db import Database, migrate
from app.models.attempts import Attempt, Outcome, Reservation
from app.models.imports import VmImport
from app.models.state import ImportState
from app.services import admission, attempts, imports
from tests.support.database import OWNER, PostgresServer
from tests.support.rows import data_center, proxy_host, storage_domain, vm_import

HOSTS, SLOTS, DRAINED = 20, 10, 50


@dataclass(frozen=True)
class Figures:
    """What one database takes, in seconds; and imports begun and ended a second."""

    look: float
    pass_: float
    drained: float


async def measure(url: str, queued: int, workers: int) -> Figures:
    database = Database(url)
    try:
        await _build(database, queued)
        began = time.monotonic()
        await _pass(database)
        took = time.monotonic() - began
        look = await _look(database)
        began = time.monotonic()
        await _drain(database, workers)
        return Figures(look, took, DRAINED / (time.monotonic() - began))
    finally:
        await database.close()


async def _build(database: Database, queued: int) -> None:
    async with database.session() as session:
        center = await data_center(session)
        hosts = [
            await proxy_host(session, center.id, name=f"proxy-{number}", max_concurrent_imports=SLOTS)
            for number in range(HOSTS)
        ]
        domains = [
            await storage_domain(session, center.id, name=f"store-{number}") for number in range(HOSTS)
        ]
        for number in range(queued):
            named = {"proxy_host_id": str(hosts[number % HOSTS].id)} if number % 10 == 0 else {}
            await vm_import(
                session,
                domains[number % HOSTS],
                path=f"/srv/{number}.img",
                priority=number % 10,
                **named,
            )


async def _pass(database: Database) -> None:
    """As a worker does it."""
    async with database.reading() as session:
        line = await admission.line_up(session)
        if not await admission.can_any_begin(session, line):
            return
    async with database.session() as session:
        await admission.admit(session, line)


async def _look(database: Database) -> float:
    """The mean of ten."""
    began = time.monotonic()
    for _ in range(10):
        await _pass(database)
    return (time.monotonic() - began) / 10


async def _drain(database: Database, workers: int) -> None:
    """So many imports end, one after the other, and each worker admits what follows."""
    async with database.reading() as session:
        running = list((await session.execute(select(Reservation.import_id))).scalars())
    ends = iter(running[:DRAINED])

    async def work() -> None:
        for import_id in ends:
            await _end(database, import_id)
            await _pass(database)

    await asyncio.gather(*(work() for _ in range(workers)))


async def _end(database: Database, import_id: object) -> None:
    async with database.session() as session:
        row = await session.get_one(VmImport, import_id)
        attempt = (await session.execute(select(Attempt).where(Attempt.import_id == row.id))).scalar_one()
        await attempts.end(session, attempt, Outcome.SUCCEEDED)
        await imports.end(session, row, ImportState.SUCCEEDED)


@contextmanager
def _urls() -> Iterator[dict[str, list[str]]]:
    """Two empty databases of each kind."""
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    shutil.chown(directory, OWNER)
    server = PostgresServer(directory)
    server.start()
    try:
        yield {
            "SQLite": [f"sqlite+aiosqlite:///{directory}/{name}.sqlite3" for name in ("small", "large")],
            "PostgreSQL": [server.create(name) for name in ("small", "large")],
        }
    finally:
        server.stop()
        shutil.rmtree(directory)


def main() -> None:
    queued, workers = [int(argument) for argument in (*sys.argv[1:], *("5000", "4")[len(sys.argv) - 1 :])]
    with _urls() as databases:
        for name, (small, large) in databases.items():
            migrate(small)
            migrate(large)
            less = asyncio.run(measure(small, queued // 10, workers))
            more = asyncio.run(measure(large, queued, workers))
            print(
                f"{name}, {queued} queued: "
                f"nothing to begin {more.look * 1000:.0f} ms ({more.look / less.look:.1f}), "
                f"{HOSTS * SLOTS} begin in {more.pass_ * 1000:.0f} ms ({more.pass_ / less.pass_:.1f}), "
                f"{workers} workers end and begin {more.drained:.0f} imports a second "
                f"({more.drained / less.drained:.1f})"
            )


if __name__ == "__main__":
    main()
