"""Ways through a host to others: each is there for one caller, leads to one place, and is closed after."""

import asyncio
import base64
import contextlib
import hmac
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncssh
from pydantic import SecretStr

from app.errors import HostError, HostUnreachableError
from app.proxy.ssh import CONNECT_SECONDS, SshProxy

LONGEST_HEAD: Final = 16_384
HEAD_SECONDS: Final = 10.0
BLOCK_BYTES: Final = 65_536
LOOPBACK: Final = "127.0.0.1"
OK: Final = 200
ANSWERS: Final = {
    OK: b"HTTP/1.1 200 Connection established\r\n\r\n",
    403: b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    407: b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="v2v-import"\r\n'
    b"Content-Length: 0\r\nConnection: close\r\n\r\n",
    502: b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


@dataclass(frozen=True)
class HttpTunnel:
    """An HTTP proxy on loopback, for one place and for who knows the password."""

    port: int
    username: str
    password: SecretStr
    host: str = LOOPBACK


@dataclass
class _Place:
    """Where a tunnel leads, and who may use it."""

    proxy: SshProxy
    host: str
    port: int
    credential: bytes
    users: set[asyncio.Task[None]] = field(default_factory=set)


@asynccontextmanager
async def http_tunnel(proxy: SshProxy, host: str, port: int) -> AsyncIterator[HttpTunnel]:
    """`CONNECT host:port` and nothing else, as the host resolves the name; who uses it is cut off after."""
    username, password = "tunnel", secrets.token_urlsafe(24)
    credential = base64.b64encode(f"{username}:{password}".encode())
    place = _Place(proxy, host, port, credential)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a connection is served by a task of its own
        place.users.add(task)
        try:
            await _serve(place, reader, writer)
        finally:
            place.users.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0, limit=LONGEST_HEAD)
    try:
        yield HttpTunnel(server.sockets[0].getsockname()[1], username, SecretStr(password))
    finally:
        server.close()
        for task in place.users:
            task.cancel()
        if place.users:
            await asyncio.wait(place.users)


async def _serve(place: _Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        status = await _asked(place, reader)
        if status == OK:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    there = await place.proxy.connection.open_connection(place.host, place.port)
            except (TimeoutError, asyncssh.Error, OSError):
                status = 502
        writer.write(ANSWERS[status])
        await writer.drain()
        if status == OK:
            await _join(reader, writer, *there)


async def _asked(place: _Place, reader: asyncio.StreamReader) -> int:
    """The status that the request deserves."""
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return 403
    request, *lines = head.split(b"\r\n")
    named = f"[{place.host}]" if ":" in place.host else place.host
    wanted = f"CONNECT {named}:{place.port} HTTP/1."
    if not request.lower().startswith(wanted.lower().encode()):
        return 403
    is_known = any(_is_credential(line, place.credential) for line in lines)
    return OK if is_known else 407


def _is_credential(line: bytes, credential: bytes) -> bool:
    name, _, value = line.partition(b":")
    expected = b"Basic " + credential
    return name.strip().lower() == b"proxy-authorization" and hmac.compare_digest(value.strip(), expected)


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncssh.SSHReader[bytes],
    far_writer: asyncssh.SSHWriter[bytes],
) -> None:
    """Bytes both ways, until both sides have ended or one breaks."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_there(reader, far_writer))
            group.create_task(_back(far_reader, writer))
    except* (OSError, asyncssh.Error):
        # Either side may go away at any time; the other one then sees that, too.
        pass
    finally:
        far_writer.close()


async def _there(reader: asyncio.StreamReader, writer: asyncssh.SSHWriter[bytes]) -> None:
    while data := await reader.read(BLOCK_BYTES):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _back(reader: asyncssh.SSHReader[bytes], writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(BLOCK_BYTES):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


@asynccontextmanager
async def socket_to_port(proxy: SshProxy, host: str, port: int) -> AsyncIterator[Path]:
    """A Unix socket that is the place's TCP port, in a directory of this user's alone."""
    with _private_socket() as path:
        async with _forwarded(await proxy.connection.forward_local_path_to_port(str(path), host, port)):
            yield path


@asynccontextmanager
async def socket_to_socket(proxy: SshProxy, candidates: Sequence[str]) -> AsyncIterator[Path]:
    """A Unix socket that is the first of these on the host which answers.

    Raises HostUnreachableError when none does.
    """
    there = await _first_open(proxy, candidates)
    with _private_socket() as path:
        async with _forwarded(await proxy.connection.forward_local_path(str(path), there)):
            yield path


async def _first_open(proxy: SshProxy, candidates: Sequence[str]) -> str:
    reasons: list[str] = []
    for path in candidates:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await proxy.connection.open_unix_connection(path)
        except (TimeoutError, asyncssh.Error, OSError) as error:
            reasons.append(f"{path} ({str(error) or type(error).__name__})")
        else:
            writer.close()
            return path
    raise HostUnreachableError(f"No socket answers there: {', '.join(reasons)}.")


@contextlib.contextmanager
def _private_socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="v2v-", dir="/tmp") as name:
        yield Path(name) / "s"


@asynccontextmanager
async def _forwarded(listener: asyncssh.SSHListener) -> AsyncIterator[None]:
    try:
        yield
    finally:
        listener.close()


async def reach_port(proxy: SshProxy, host: str, port: int) -> None:
    """Raises HostUnreachableError when the host can't connect there."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await proxy.connection.open_connection(host, port)
    except TimeoutError as error:
        raise _unreachable(proxy, host, port, f"no answer within {CONNECT_SECONDS:g} s") from error
    except (asyncssh.Error, OSError) as error:
        raise _unreachable(proxy, host, port, str(error)) from error
    writer.close()


def _unreachable(proxy: SshProxy, host: str, port: int, why: str) -> HostError:
    return HostUnreachableError(f"{proxy.address.address} does not reach {host} port {port}: {why}.")
