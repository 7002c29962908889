"""The private Redis of `up`: on a Unix socket, its append-only file in the data directory."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from app.up.children import Child
from app.up.refusal import RefusedError

START_SECONDS: Final = 30.0
LONGEST_SOCKET_BYTES: Final = 100
"""A Unix socket's path may have 107 bytes."""


def find_program() -> str:
    """Raises RefusedError."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    raise RefusedError(
        "There is neither redis-server nor valkey-server. Install one of them "
        "(`apt install redis-server`), or set V2V_IMPORT_REDIS_URL to a Redis that runs already."
    )


@contextlib.contextmanager
def socket_in(directory: Path) -> Iterator[Path]:
    """Where the socket is to be: in the directory, or in a short private one when its path is too long."""
    wanted = directory / "redis.sock"
    if len(str(wanted).encode()) <= LONGEST_SOCKET_BYTES:
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="v2v-import-", dir="/tmp") as short:
        yield Path(short) / "redis.sock"


def url_of(socket: Path) -> str:
    return f"unix://{quote(str(socket))}"


def redis_child(program: str, directory: Path, socket: Path) -> Child:
    directory.mkdir(mode=0o700, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "dir": str(directory),
        "appendonly": "yes",
        "save": "",
        "daemonize": "no",
        "logfile": str(directory / "redis.log"),
        "loglevel": "warning",
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    return Child("redis", [program, *arguments])


async def until_it_answers(child: Child, socket: Path) -> None:
    """Raises RefusedError when it doesn't in time."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _answers(socket):
                if not child.is_running():
                    raise RefusedError(f"Redis ended at once; {socket.parent}/redis.log may tell why.")
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise RefusedError(f"Redis did not start within {START_SECONDS:g} s.") from error


async def _answers(socket: Path) -> bool:
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith(b"+PONG")
    finally:
        writer.close()
