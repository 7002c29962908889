"""The database: an engine, sessions, and the schema that this program needs."""

import asyncio
import contextlib
import functools
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

import app.models.tables  # noqa: F401  # every table is known, and watched, before a row is read
from app.errors import SchemaMismatchError, UnknownRevisionError

Session = AsyncSession
"""A session, for those who hand it on to the services."""
ValueRefusedError = DataError
"""The database can't hold a value, such as a NUL character in a text."""
UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeoutError)
"""What is raised when the database can't be reached or doesn't answer."""
SERVER_TROUBLES = frozenset({"08", "53", "57", "58"})
"""PostgreSQL's classes of errors: connection lost, no room, an operator's intervention, the system."""
DatabaseError = DBAPIError
"""Whatever else the database's driver raises."""

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
ADMISSION_LOCK = 0x7632_7661
"""The PostgreSQL advisory lock (any constant) under which slots and bytes are given out."""
MIGRATION_LOCK = 0x7632_766D
"""The one under which the schema changes."""


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # The driver must not open transactions by itself: `_begin_sqlite` does.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("foreign_keys=ON", "journal_mode=WAL", "busy_timeout=15000", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later can't wait for a lock: it fails at once.
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _end_transaction(connection: Any, *_: Any) -> None:
    """Before a connection is thrown away: a cursor that is still referred to would keep its write lock."""
    # A second cancel changes nothing: the driver's thread rolls back before it closes.
    with contextlib.suppress(asyncio.CancelledError, SQLAlchemyError, sqlite3.Error):
        connection.rollback()


def _connect_postgresql(dialect: Any, _: Any, arguments: Any, options: Any) -> Any:
    """A server that can't be reached is told as one that was lost is, which SQLAlchemy leaves out."""
    try:
        return dialect.connect(*arguments, **options)
    except (OSError, asyncpg.PostgresError, dialect.loaded_dbapi.Error) as error:
        raise dialect.loaded_dbapi.OperationalError(str(error)) from error


def make_engine(url: str) -> AsyncEngine:
    """An engine for SQLite (WAL, foreign keys on) or PostgreSQL."""
    if make_url(url).get_backend_name() != "sqlite":
        engine = create_async_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20)
        event.listen(engine.sync_engine, "do_connect", _connect_postgresql)
        return engine
    engine = create_async_engine(url)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    event.listen(engine.sync_engine, "invalidate", _end_transaction)
    return engine


class Database:
    """Sessions for the edges; each is one transaction, committed when its block ends well."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = make_engine(url)
        self._writing = async_sessionmaker(self.engine, expire_on_commit=False)
        self._reading = async_sessionmaker(
            self.engine.execution_options(reads_only=True), expire_on_commit=False
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """One transaction that writes. SQLite lets one in at a time; the others wait for it."""
        async with self._writing.begin() as session:
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """One transaction that only reads: one consistent view, and no waiting for writers."""
        async with self._reading.begin() as session:
            yield session

    async def check_schema(self) -> None:
        """Raises SchemaMismatchError when the database is older or newer than this program."""
        found = await self.schema_version()
        if found != newest_version():
            raise mismatch(found)

    async def schema_version(self) -> str | None:
        """The migration that the database is at; None when there is none. Raises DBAPIError."""
        async with self.engine.connect() as connection:
            try:
                return (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()
            except DBAPIError:
                await connection.rollback()
                await connection.execute(text("SELECT 1"))
                return None

    async def close(self) -> None:
        await self.engine.dispose()


def is_unavailable(error: BaseException) -> bool:
    """Whether the database failed, not what was asked of it: it isn't there, broke off, or can't go on."""
    if isinstance(error, UNAVAILABLE):
        return True
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    return isinstance(error, DBAPIError) and (error.connection_invalidated or state[:2] in SERVER_TROUBLES)


def lock_migrations(connection: Connection) -> None:
    """Wait until no other process changes the schema; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))


async def lock_admission(session: AsyncSession) -> None:
    """Wait until no other transaction gives out slots; SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_advisory_xact_lock(ADMISSION_LOCK)))


def _alembic(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


@functools.cache
def _versions() -> tuple[str, ...]:
    """Every migration that this program knows, the newest first."""
    scripts = ScriptDirectory.from_config(_alembic("")).walk_revisions()
    return tuple(script.revision for script in scripts)


def newest_version() -> str:
    """The newest migration that this program knows."""
    return _versions()[0]


def is_newer(found: str | None) -> bool:
    """Whether a newer program has migrated the database: this one doesn't know that migration."""
    return found is not None and found not in _versions()


def mismatch(found: str | None) -> SchemaMismatchError:
    """That a database's schema is not this program's, and what to do."""
    wanted = newest_version()
    if is_newer(found):
        return SchemaMismatchError(
            f"The database has schema {found}, and this program knows none that is newer than {wanted}.",
            hint="Update this program; or go back with the newer program's "
            f"`v2v-import migrate --revision {wanted}`.",
        )
    return SchemaMismatchError(
        f"The database has schema {found or 'none'}, and this program needs {wanted}.",
        hint="Run this program's `v2v-import migrate`.",
    )


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database's schema to a revision, up or down. Two at the same time wait for each other.

    Blocks: call it outside the event loop. Raises SchemaMismatchError for a database that is newer than this
    program, UnknownRevisionError.
    """
    found = asyncio.run(_found_version(url))
    if is_newer(found):
        raise mismatch(found)
    versions = (*_versions(), "base")
    wanted = newest_version() if revision == "head" else revision
    if wanted not in versions:
        raise UnknownRevisionError(f"{revision!r} is none of {', '.join(reversed(versions))}.")
    if versions.index(wanted) > versions.index(found or "base"):
        command.downgrade(_alembic(url), wanted)
    else:
        command.upgrade(_alembic(url), wanted)


async def _found_version(url: str) -> str | None:
    database = Database(url)
    try:
        return await database.schema_version()
    finally:
        await database.close()
