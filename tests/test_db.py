"""The database's schema and transactions, on SQLite and PostgreSQL."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import SQLModel

from app.db import Database, is_unavailable, lock_admission, migrate, newest_version
from app.errors import SchemaMismatchError
from app.models.columns import now
from app.models.data_centers import DataCenter, Network
from app.models.tables import TABLES


async def test_the_migrations_make_the_schema_that_the_models_describe(database: Database) -> None:
    def columns(connection: object) -> dict[str, set[tuple[str, bool]]]:
        found = inspect(connection)
        assert found is not None
        return {
            table: {(column["name"], column["nullable"]) for column in found.get_columns(table)}
            for table in found.get_table_names()
            if table != "alembic_version"
        }

    async with database.engine.connect() as connection:
        migrated = await connection.run_sync(columns)
    described = {
        name: {(column.name, bool(column.nullable)) for column in table.columns}
        for name, table in SQLModel.metadata.tables.items()
    }
    assert migrated == described
    assert len(TABLES) == len(described)


async def test_the_newest_schema_is_accepted_and_another_one_refused(database: Database) -> None:
    await database.check_schema()
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatchError, match="9999"):
        await database.check_schema()


async def test_a_database_without_a_schema_is_refused(tmp_path: Path) -> None:
    empty = Database(f"sqlite+aiosqlite:///{tmp_path / 'empty.sqlite3'}")
    with pytest.raises(SchemaMismatchError, match="none"):
        await empty.check_schema()
    await empty.close()


async def test_the_migrations_go_down_and_up_again(database: Database, database_url: str) -> None:
    await asyncio.to_thread(migrate, database_url, "base")
    assert await database.schema_version() is None
    await asyncio.to_thread(migrate, database_url)
    assert await database.schema_version() == newest_version()


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.session() as session:
            session.add(DataCenter(name="north"))
            await session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.reading() as session:
        assert (await session.execute(select(DataCenter))).first() is None


async def test_times_and_typed_values_come_back_as_they_went(database: Database) -> None:
    made = DataCenter(name="north", networks=(Network(name="red"),), created_at=now())
    async with database.session() as session:
        session.add(made)
    async with database.reading() as session:
        found = await session.get_one(DataCenter, made.id)
        assert found is not made
        assert found.networks == (Network(name="red"),)
        assert found.created_at == made.created_at
        assert found.created_at.tzinfo is not None


async def test_writers_wait_for_each_other_and_lose_nothing(database: Database) -> None:
    made = DataCenter(name="north", description="0")
    async with database.session() as session:
        session.add(made)

    async def count_up() -> None:
        async with database.session() as session:
            await lock_admission(session)
            found = await session.get_one(DataCenter, made.id)
            found.description = str(int(found.description) + 1)

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(count_up())
    async with database.reading() as session:
        assert (await session.get_one(DataCenter, made.id)).description == "10"


async def test_a_server_that_hangs_up_while_it_starts_is_told_as_one_that_is_away() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = Database(f"postgresql+asyncpg://nobody@127.0.0.1:{port}/none")
    try:
        with pytest.raises(OperationalError):
            async with database.reading() as session:
                await session.execute(text("SELECT 1"))
    finally:
        await database.close()
        server.close()


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = 'disk_full'; END $$", id="no room"),
        pytest.param("SELECT pg_terminate_backend(pg_backend_pid())", id="shutting down"),
    ],
)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_server_that_can_t_go_on_is_told_as_one_that_failed(
    database: Database, statement: str
) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with database.session() as session:
            await session.execute(text(statement))
    assert is_unavailable(caught.value)
