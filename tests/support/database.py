"""Databases of a test's own, at the newest schema: SQLite, and a private PostgreSQL."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.db import Database, migrate

OWNER = "postgres"
"""PostgreSQL refuses to run as root; Debian's package makes this user."""


class PostgresServer:
    """A PostgreSQL cluster in a directory of its own, reached over its Unix socket alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"

    def start(self) -> None:
        if not self.data.exists():
            self._run("initdb", "-D", str(self.data), "-U", OWNER, "-A", "trust", "-E", "UTF8", "--no-sync")
        # What a crash of the machine would lose is of no interest here; what the server does is the same.
        options = f"-k {self.directory} -c listen_addresses='' -c fsync=off -c max_connections=200"
        self._run(
            "pg_ctl", "-D", str(self.data), "-w", "-l", str(self.directory / "log"), "-o", options, "start"
        )

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")

    def create(self, name: str, *, template: str = "template0") -> str:
        """Make a database; answers its URL."""
        self._sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, name: str) -> None:
        self._sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def url(self, name: str) -> str:
        return f"postgresql+asyncpg://{OWNER}@/{name}?host={self.directory}"

    def _sql(self, statement: str) -> None:
        self._run("psql", "-q", "-h", str(self.directory), "-U", OWNER, "-d", "postgres", "-c", statement)

    def _run(self, program: str, *arguments: str) -> None:
        as_owner = ["setpriv", "--reuid", OWNER, "--regid", OWNER, "--clear-groups", "--"]
        command = [str(_postgres_program(program)), *arguments]
        # The server inherits these streams: a pipe would never end.
        done = subprocess.run(
            [*(as_owner if os.geteuid() == 0 else []), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=self.directory,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{command} ended with status {done.returncode}"


def _postgres_program(name: str) -> Path:
    """Debian keeps the server's programs out of PATH, one directory a version."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = debian[-1] if debian else shutil.which(name)
    assert found, f"{name} is needed: install PostgreSQL"
    return Path(found)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole run. Its path is short: a Unix socket's may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        directory = Path(name)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(OWNER)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        server = PostgresServer(directory)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """A database at the newest schema, to be copied."""
    migrate(postgres_server.create("schema_template"))
    return "schema_template"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("schema") / "template.sqlite3"
    migrate(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of this test's own, once on each engine."""
    if request.param == "sqlite":
        path = tmp_path / "test.sqlite3"
        # The template's last connection is closed, so all of it is in the one file.
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("postgres_template")
    name = f"test_{uuid4().hex}"
    yield server.create(name, template=template)
    server.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    yield opened
    await asyncio.shield(opened.close())
