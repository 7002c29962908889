"""This machine as a proxy host without SSH: the real agent program, run as a child process."""

import asyncio
import contextlib
import fcntl
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO
from uuid import UUID

import pytest

from app.errors import HostConnectionLostError, HostDeadlineError
from app.proxy.agent_client import HostAgent, JobState, JobStatus
from app.proxy.base import Channel, CommandResult, HostAddress
from app.proxy.pool import put_in_place
from app.proxy.program import agent_program
from tests.support.sshd import HOST_PATH
from tests.support.waiting import until

INSTALLATION_ID = UUID(int=0x1057A11)
"""The installation that the tests' agents mark things for."""


async def installation_id() -> UUID:
    """The same, as a pool of connections asks for it."""
    return INSTALLATION_ID


class LocalProxy:
    """Keeps the Proxy protocol with local processes."""

    def __init__(self, work_dir: Path, path: str = HOST_PATH) -> None:
        self._path = path
        self._address = HostAddress(
            id=UUID(int=1),
            address="127.0.0.1",
            port=22,
            username="root",
            host_key="ssh-ed25519 AAAA",
            private_key=None,
            password=None,
            sudo=False,
            work_dir=str(work_dir),
        )

    @property
    def address(self) -> HostAddress:
        return self._address

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> CommandResult:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PATH": self._path, **(environment or {})},
        )
        try:
            async with asyncio.timeout(timeout_seconds):
                stdout, stderr = await process.communicate(stdin)
        except TimeoutError as error:
            process.kill()
            raise HostDeadlineError from error
        assert process.returncode is not None
        return CommandResult(tuple(argv), process.returncode, stdout, stderr)

    @asynccontextmanager
    async def open(self, argv: Sequence[str]) -> AsyncIterator[Channel]:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PATH": self._path},
        )
        try:
            yield LocalChannel(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()


class LocalChannel:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    async def send(self, data: bytes) -> None:
        try:
            self._stdin.write(data)
            await self._stdin.drain()
        except OSError as error:
            raise HostConnectionLostError from error

    async def end(self) -> None:
        self._stdin.close()

    async def chunks(self) -> AsyncIterator[bytes]:
        while data := await self._stdout.read(65_536):
            yield data


@pytest.fixture
def work_dir() -> Iterator[Path]:
    """A proxy host's work directory: short, for sockets lie in it. What still runs in it is ended after."""
    with tempfile.TemporaryDirectory(prefix="v2v-", dir="/tmp") as name:
        yield Path(name)
        end_jobs(Path(name))


@pytest.fixture
def local_agent(work_dir: Path) -> HostAgent:
    """The agent on this machine, as this user."""
    return agent_at(work_dir)


def agent_at(work_dir: Path, installation_id: UUID = INSTALLATION_ID, *, path: str = HOST_PATH) -> HostAgent:
    """`path` is the host's PATH."""
    proxy = LocalProxy(work_dir, path)
    path = str(work_dir / "agent" / agent_program().name)
    return HostAgent(proxy, path, installation_id, lambda: put_in_place(proxy, path))


def end_jobs(work_dir: Path) -> None:
    """Kill what carries the marker of an attempt in this work directory, until its supervisors are gone."""
    attempts = work_dir / "attempts"
    ids = {entry.name for entry in attempts.iterdir()} if attempts.is_dir() else set()
    _kill(ids)
    for alive in attempts.glob("*/job/alive"):
        with alive.open() as lock:
            # A job that was being started when we looked carries its marker only now.
            while not _is_free(lock):
                _kill(ids)
                time.sleep(0.02)


def marked_pids(attempt_ids: Collection[str]) -> list[int]:
    """The processes that carry the marker of one of these attempts."""
    processes = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [int(process.name) for process in processes if _attempt_of(process) in attempt_ids]


def _kill(attempt_ids: set[str]) -> None:
    for pid in marked_pids(attempt_ids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _is_free(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _attempt_of(process: Path) -> str | None:
    try:
        environment = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    marker = b"V2V_IMPORT_ATTEMPT="
    return next((item.removeprefix(marker).decode() for item in environment if item.startswith(marker)), None)


async def ended(agent: HostAgent, attempt_id: UUID) -> JobStatus:
    """How the attempt's job ended, once it has."""

    async def has_ended() -> bool:
        return (await agent.status(attempt_id)).state is not JobState.RUNNING

    await until(has_ended)
    return await agent.status(attempt_id)
