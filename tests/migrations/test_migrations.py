"""The migrations, up and down, with the rows that the programs of their time left."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, Table, insert, inspect, select, text, update
from sqlmodel import SQLModel

from app.db import Database, migrate, newest_version
from app.errors import SchemaMismatchError, UnknownRevisionError
from app.models.damage import damage
from app.models.imports import VmImport
from app.models.tables import TABLES
from app.services import imports
from tests.support import rows_0001, rows_0005, rows_0006, rows_0007
from tests.support.database import PostgresServer

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a schema."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.sqlite3'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"empty_{uuid4().hex}"
    yield server.create(name)
    server.drop(name)


class Old:
    """A database at any revision, spoken to in plain SQL."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def migrate(self, revision: str) -> None:
        await asyncio.to_thread(migrate, self.url, revision)

    async def fill(self, rows: Rows) -> None:
        await self._run(lambda connection: _fill(connection, rows))

    async def set(self, table: str, row_id: UUID, **members: Any) -> None:
        def do(connection: Connection) -> None:
            found = _tables(connection)[table]
            kept = _as_kept(connection, found, members)
            connection.execute(
                update(found)
                .where(found.c.id == _as_kept(connection, found, {"id": row_id})["id"])
                .values(kept)
            )

        await self._run(do)

    async def counts(self) -> dict[str, int]:
        """How many rows each table has."""

        def do(connection: Connection) -> dict[str, int]:
            return {
                name: len(connection.execute(select(table)).all())
                for name, table in _tables(connection).items()
                if name != "alembic_version"
            }

        return await self._run(do)

    async def _run(self, do: Callable[[Connection], Any]) -> Any:
        database = Database(self.url)
        async with database.engine.begin() as connection:
            answer = await connection.run_sync(do)
        await database.close()
        return answer


def _tables(connection: Connection) -> dict[str, Table]:
    schema = MetaData()
    schema.reflect(connection)
    return {table.name: table for table in schema.sorted_tables}


def _fill(connection: Connection, rows: Rows) -> None:
    for name, table in _tables(connection).items():
        for row in rows.get(name, ()):
            connection.execute(insert(table), _as_kept(connection, table, row))


def _as_kept(connection: Connection, table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """SQLite keeps ids as text, and of times no zone."""
    if connection.dialect.name != "sqlite":
        return dict(row)
    return {name: value.hex if isinstance(value, UUID) else value for name, value in row.items()}


async def _leave_rows_of(old: Old, revision: str) -> None:
    """What the program of this revision adds to what is there."""
    if revision == "0001":
        await old.fill(rows_0001.ROWS)
    if revision == "0002":
        await old.set("attempts", rows_0001.ENDED_ATTEMPT, abandoned=True)
    if revision == "0003":
        again = {"state": "running", "direction": "again", "automatic_retries": 1}
        await old.set("vm_imports", rows_0001.QUEUED, **again)
        await old.set("attempts", rows_0001.RUNNING_ATTEMPT, still_seconds=1.5, io_bytes=2**40)
    if revision == "0005":
        await old.fill(rows_0005.ROWS)
    if revision == "0006":
        await old.fill(rows_0006.ROWS)
    if revision == "0007":
        await old.fill(rows_0007.ROWS)


def test_every_migration_is_tried_here() -> None:
    assert REVISIONS[-1] == newest_version()


async def test_rows_of_every_revision_are_read_by_this_program_and_outlive_the_way_down(
    empty_url: str,
) -> None:
    old = Old(empty_url)
    for revision in REVISIONS:
        await old.migrate(revision)
        await _leave_rows_of(old, revision)
        counted = await old.counts()
        assert 0 not in counted.values(), (revision, counted)
    await _everything_reads(empty_url)
    for revision in reversed(REVISIONS[:-1]):
        await old.migrate(revision)
        found = await old.counts()
        assert found == {name: counted[name] for name in found}, revision
    for revision in REVISIONS[1:]:
        await old.migrate(revision)
        await _leave_rows_of(old, revision)
    assert await old.counts() == counted
    await _everything_reads(empty_url)
    await old.migrate("base")
    assert await old.counts() == {}
    await old.migrate("head")
    assert set(await old.counts()) == set(counted)


async def _everything_reads(url: str) -> None:
    database = Database(url)
    async with database.reading() as session:
        for table in TABLES:
            for row in (await session.execute(select(table))).scalars():
                assert damage(row) == frozenset(), row
        rows = (await session.execute(select(VmImport))).scalars().all()
        shown = {one.id: one for one in await imports.publics(session, rows)}
    await database.close()
    running = shown[rows_0001.RUNNING]
    assert running.spec is not None
    assert (running.state, running.spec.vm.name, running.labels) == ("running", "web", {"team": "red"})
    assert (running.progress.percent, running.attempts[0].number) == (12.5, 1)
    ended = shown[rows_0001.ENDED]
    assert ended.problem is not None
    assert (ended.problem.code, ended.created_at) == ("no_room", rows_0001.AT)


async def test_the_models_and_the_migrations_make_the_same_schema(empty_url: str) -> None:
    await asyncio.to_thread(migrate, empty_url)
    database = Database(empty_url)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[Any] = compare_metadata(context, SQLModel.metadata)
        return found

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await database.close()


async def test_two_that_migrate_at_the_same_time_do_it_once(empty_url: str) -> None:
    program = "import sys; from app.db import migrate; migrate(sys.argv[1])"
    both = [await asyncio.create_subprocess_exec(sys.executable, "-c", program, empty_url) for _ in range(2)]
    async with asyncio.timeout(60):
        assert [await process.wait() for process in both] == [0, 0]
    database = Database(empty_url)
    await database.check_schema()
    await database.close()


async def test_a_newer_database_is_left_alone_and_both_versions_are_named(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for revision in ("head", "base", REVISIONS[0]):
        with pytest.raises(SchemaMismatchError, match=f"9999.*{newest_version()}") as raised:
            await asyncio.to_thread(migrate, database.url, revision)
        assert f"migrate --revision {newest_version()}" in str(raised.value.own_hint)
    async with database.engine.connect() as connection:
        assert "vm_imports" in await connection.run_sync(lambda sync: inspect(sync).get_table_names())


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_migration_that_is_not_there_is_told(database: Database) -> None:
    with pytest.raises(UnknownRevisionError, match="0042"):
        await asyncio.to_thread(migrate, database.url, "0042")
