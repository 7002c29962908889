"""Tunnels through a real sshd: to one place, for one caller, and gone after."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.errors import HostUnreachableError
from app.proxy import tunnels
from app.proxy.host_keys import offered_host_key
from app.proxy.ssh import SshProxy, connect
from app.proxy.tunnels import HttpTunnel
from tests.support.sshd import SshServer, free_port


@pytest.fixture
async def proxy(sshd: SshServer, tmp_path: Path) -> AsyncIterator[SshProxy]:
    made = await connect(sshd.address(tmp_path))
    yield made
    made.close()
    await made.wait_closed()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where everything that is sent comes back."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def _asked(tunnel: HttpTunnel, line: str, password: str | None = None) -> tuple[int, bytes]:
    """The status of a CONNECT, and what comes back of `hello` through it."""
    reader, writer = await asyncio.open_connection(tunnel.host, tunnel.port)
    given = f"{tunnel.username}:{password or tunnel.password.get_secret_value()}"
    credential = base64.b64encode(given.encode()).decode()
    writer.write(f"{line}\r\nProxy-Authorization: Basic {credential}\r\n\r\n".encode())
    status = int((await reader.readline()).split()[1])
    if status == 200:
        await reader.readuntil(b"\r\n")
        writer.write(b"hello")
        writer.write_eof()
    body = await reader.read()
    writer.close()
    return status, body


async def test_connect_leads_to_the_one_place(proxy: SshProxy, port: int) -> None:
    async with tunnels.http_tunnel(proxy, "localhost", port) as tunnel:
        assert await _asked(tunnel, f"CONNECT localhost:{port} HTTP/1.1") == (200, b"hello")
        for line in (
            f"CONNECT 127.0.0.1:{port} HTTP/1.1",
            f"CONNECT localhost:{port}0 HTTP/1.1",
            f"GET http://localhost:{port}/ HTTP/1.1",
            "",
        ):
            assert (await _asked(tunnel, line))[0] == 403
        assert (await _asked(tunnel, f"CONNECT localhost:{port} HTTP/1.1", password="other"))[0] == 407


async def test_a_tunnel_is_closed_after_with_those_who_use_it(proxy: SshProxy, port: int) -> None:
    async with tunnels.http_tunnel(proxy, "127.0.0.1", port) as tunnel:
        reader, _ = await asyncio.open_connection(tunnel.host, tunnel.port)
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(tunnel.host, tunnel.port)


async def test_a_place_that_does_not_answer_is_told(proxy: SshProxy) -> None:
    nowhere = free_port()
    async with tunnels.http_tunnel(proxy, "127.0.0.1", nowhere) as tunnel:
        assert (await _asked(tunnel, f"CONNECT 127.0.0.1:{nowhere} HTTP/1.1"))[0] == 502
    with pytest.raises(HostUnreachableError, match=str(nowhere)):
        await tunnels.reach_port(proxy, "127.0.0.1", nowhere)


async def _through(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"hello")
    writer.write_eof()
    return await reader.read()


@asynccontextmanager
async def _unix_echo(path: Path) -> AsyncIterator[None]:
    server = await asyncio.start_unix_server(_echo, path)
    yield
    server.close()


async def test_the_first_socket_that_answers_is_forwarded_and_its_file_goes(
    proxy: SshProxy, work_dir: Path
) -> None:
    there = work_dir / "there"
    async with (
        _unix_echo(there),
        tunnels.socket_to_socket(proxy, [str(work_dir / "none"), str(there)]) as here,
    ):
        assert await _through(here) == b"hello"
        assert here.parent.stat().st_mode & 0o777 == 0o700
    assert not here.parent.exists()


async def test_a_host_without_such_a_socket_is_told_with_all_that_was_tried(
    proxy: SshProxy, work_dir: Path
) -> None:
    with pytest.raises(HostUnreachableError, match=f"{work_dir}/a.*{work_dir}/b"):
        async with tunnels.socket_to_socket(proxy, [f"{work_dir}/a", f"{work_dir}/b"]):
            pass


async def test_a_port_becomes_a_socket(proxy: SshProxy, port: int) -> None:
    async with tunnels.socket_to_port(proxy, "127.0.0.1", port) as here:
        assert await _through(here) == b"hello"
    assert not here.parent.exists()


async def test_a_host_behind_the_host_is_logged_in_to_and_shows_its_key(
    proxy: SshProxy, own_sshd: SshServer, tmp_path: Path
) -> None:
    assert await offered_host_key("127.0.0.1", own_sshd.port, through=proxy) == own_sshd.host_key
    behind = await connect(own_sshd.address(tmp_path), through=proxy)
    assert (await behind.run(["echo", "there"], timeout_seconds=30)).stdout == b"there\n"
    behind.close()
    await behind.wait_closed()
    assert (await proxy.run(["echo", "here"], timeout_seconds=30)).stdout == b"here\n"
