"""`v2v-import up`: one process tree, ready by itself, gone as a whole."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.sshd import free_port
from tests.support.waiting import until


class Up:
    """A running `up` and its data directory."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        self.data_dir, self.port = data_dir, free_port()
        self.environment = {**os.environ, "V2V_IMPORT_LOG_LEVEL": "error", **environment}
        self.process: asyncio.subprocess.Process | None = None
        self.said: list[str] = []

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "up"),
            *("--data-dir", str(self.data_dir), "--port", str(self.port)),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def ready(self) -> str:
        """The line that it says when it is ready."""
        assert self.process is not None
        assert self.process.stdout is not None
        async with asyncio.timeout(40):
            return (await self.process.stdout.readline()).decode()

    async def refused(self) -> tuple[int, str]:
        """Its exit status, and what it says instead."""
        await self.start()
        assert self.process is not None
        async with asyncio.timeout(40):
            _, stderr = await self.process.communicate()
            return await self.process.wait(), stderr.decode()

    async def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        async with asyncio.timeout(12):
            return await self.process.wait()

    def token(self) -> str:
        return (self.data_dir / "admin-token").read_text().strip()

    async def get(self, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token()}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", headers=headers) as client:
            return await client.get(path)

    def children(self) -> list[int]:
        """Every process whose environment or arguments name the data directory."""
        assert self.process is not None
        return [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and int(entry.name) != self.process.pid and self._is_ours(entry)
        ]

    def child(self, word: str) -> int | None:
        """The child whose command line ends with this word."""
        for pid in self.children():
            # One that has died since it was listed is none.
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").endswith(word.encode()):
                    return pid
        return None

    def _is_ours(self, entry: Path) -> bool:
        name = os.fsencode(self.data_dir)
        try:
            return name in (entry / "cmdline").read_bytes() or name in (entry / "environ").read_bytes()
        except OSError:
            return False


@asynccontextmanager
async def _up(data_dir: Path, **environment: str) -> AsyncIterator[Up]:
    up = Up(data_dir, **environment)
    try:
        await up.start()
        yield up
    finally:
        if up.process is not None and up.process.returncode is None:
            up.process.terminate()
            await up.process.wait()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def test_it_is_ready_by_itself_and_ends_as_a_whole(data_dir: Path) -> None:
    async with _up(data_dir) as up:
        line = await up.ready()
        assert f"http://127.0.0.1:{up.port}/docs" in line
        assert str(data_dir / "admin-token") in line
        assert (await up.get("/v1/tokens")).status_code == 200
        assert (await up.get("/readyz?strict=1")).status_code == 200
        assert [path.stat().st_mode & 0o777 for path in (data_dir, data_dir / "admin-token")] == [
            0o700,
            0o600,
        ]
        assert await up.end(signal.SIGTERM) == 0
        assert up.children() == []


async def test_nothing_outlives_it_even_when_it_is_killed(data_dir: Path) -> None:
    async with _up(data_dir) as up:
        await up.ready()
        assert len(up.children()) == 3
        await up.end(signal.SIGKILL)
        await until(lambda: up.children() == [], seconds=12)


async def test_a_child_that_dies_is_started_again(data_dir: Path) -> None:
    async with _up(data_dir) as up:
        await up.ready()
        for name in ("worker", "api"):
            first = up.child(name)
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await until(lambda name=name, first=first: up.child(name) not in {None, first}, seconds=20)

        async def serves() -> bool:
            try:
                return (await up.get("/readyz?strict=1")).status_code == 200
            except httpx.HTTPError:
                return False

        await until(serves, seconds=20)


async def test_the_first_token_is_written_once(data_dir: Path) -> None:
    async with _up(data_dir) as up:
        await up.ready()
        await up.end(signal.SIGINT)
    (data_dir / "admin-token").unlink()
    async with _up(data_dir) as up:
        await up.ready()
        assert not (data_dir / "admin-token").exists()


async def test_a_second_one_on_the_same_directory_is_refused(data_dir: Path) -> None:
    async with _up(data_dir) as up:
        await up.ready()
        status, said = await Up(data_dir).refused()
    assert status == 1
    assert "Another `v2v-import up`" in said


async def test_a_long_data_directory_is_no_trouble(tmp_path: Path) -> None:
    async with _up(tmp_path / ("long" * 30) / "data") as up:
        await up.ready()
        assert (await up.get("/readyz?strict=1")).status_code == 200


async def test_without_a_redis_server_it_says_what_to_do(data_dir: Path, tmp_path: Path) -> None:
    status, said = await Up(data_dir, PATH=str(tmp_path)).refused()
    assert status == 1
    assert "apt install redis-server" in said
    assert "V2V_IMPORT_REDIS_URL" in said


async def test_a_port_that_is_taken_is_told_before_anything_starts(data_dir: Path) -> None:
    up = Up(data_dir)
    with socket.socket() as other:
        other.bind(("127.0.0.1", up.port))
        other.listen()
        status, said = await up.refused()
    assert status == 1
    assert f"127.0.0.1 port {up.port}" in said
    assert not (data_dir / "redis").exists()


async def test_a_database_that_is_newer_is_left_alone(data_dir: Path) -> None:
    async with _up(data_dir) as up:
        await up.ready()
        await up.end(signal.SIGTERM)
    program = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
    statement = "UPDATE alembic_version SET version_num = '9999'"
    changed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(data_dir / "v2v-import.sqlite3"), statement
    )
    assert await changed.wait() == 0
    status, said = await Up(data_dir).refused()
    assert (status, "9999" in said) == (1, True)
