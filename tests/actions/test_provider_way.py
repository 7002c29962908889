"""The way to a provider, with real sshd's: to its host, directly and through a proxy host."""

import asyncio
import getpass
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from app.actions.provider_way import offered_key, way_to
from app.errors import (
    ProviderAuthenticationError,
    ProviderKeyMismatchError,
    ProviderKeyUnverifiedError,
    ProviderUnreachableError,
)
from app.models.providers import TlsChecks
from app.providers import kind_of, parse_url
from app.providers.base import ProviderAccess, SshAccess
from app.proxy.ssh import SshProxy, connect
from tests.support.sshd import SshServer, free_port


def access(kind: str, url: str, ssh: SshAccess | None = None, **options: Any) -> ProviderAccess:
    return ProviderAccess(
        id=uuid4(),
        name="a provider",
        kind=kind,
        url=parse_url(kind_of(kind), url, allows_local=True),
        username=None,
        password=SecretStr("s3cret"),
        ssh=ssh,
        tls=TlsChecks(),
        options=kind_of(kind).Options(**options),
        proxy_host_id=None,
    )


def at_host(server: SshServer, socket: Path) -> ProviderAccess:
    """A KVM host that is this server, with libvirt's socket there."""
    ssh = SshAccess(getpass.getuser(), server.client_key, None, server.host_key)
    return access("kvm", f"qemu+ssh://127.0.0.1:{server.port}/system", ssh, libvirt_socket=str(socket))


@pytest.fixture
async def proxy(sshd: SshServer, tmp_path: Path) -> AsyncIterator[SshProxy]:
    made = await connect(sshd.address(tmp_path))
    yield made
    made.close()
    await made.wait_closed()


@pytest.fixture
async def socket(work_dir: Path) -> AsyncIterator[Path]:
    """A libvirt that greets."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"libvirt")
        writer.close()

    server = await asyncio.start_unix_server(greet, work_dir / "libvirt-sock")
    yield work_dir / "libvirt-sock"
    server.close()


@pytest.mark.parametrize("is_through", [False, True], ids=["directly", "through the proxy host"])
async def test_libvirt_s_socket_is_one_of_ours(
    proxy: SshProxy, own_sshd: SshServer, socket: Path, is_through: bool
) -> None:
    async with way_to(at_host(own_sshd, socket), proxy if is_through else None) as way:
        assert way["kind"] == "socket"
        reader, writer = await asyncio.open_unix_connection(way["path"])
        assert await reader.read() == b"libvirt"
        writer.close()
    assert not Path(way["path"]).parent.exists()


async def test_the_host_s_key_is_shown_from_where_it_is_reached(
    proxy: SshProxy, own_sshd: SshServer, socket: Path
) -> None:
    for through in (None, proxy):
        assert await offered_key(at_host(own_sshd, socket), through) == own_sshd.host_key


async def test_whoever_is_not_the_accepted_host_gets_no_login(own_sshd: SshServer, socket: Path) -> None:
    right = at_host(own_sshd, socket)
    assert right.ssh is not None
    before = own_sshd.host_key
    own_sshd.stop()
    own_sshd.new_host_key()
    own_sshd.start()
    for key, kind in ((before, ProviderKeyMismatchError), (None, ProviderKeyUnverifiedError)):
        with pytest.raises(kind):
            async with way_to(replace(right, ssh=replace(right.ssh, host_key=key)), None):
                pass
    assert own_sshd.logins() == 0


async def test_a_refused_login_is_the_provider_s(own_sshd: SshServer, socket: Path) -> None:
    right = at_host(own_sshd, socket)
    assert right.ssh is not None
    with pytest.raises(ProviderAuthenticationError):
        async with way_to(replace(right, ssh=replace(right.ssh, username="nobody-here")), None):
            pass


async def test_without_a_proxy_host_a_port_is_reached_directly() -> None:
    async with way_to(access("vmware", "https://127.0.0.1"), None) as way:
        assert way == {"kind": "direct"}


async def test_a_vcenter_behind_the_proxy_host_has_a_tunnel_of_its_own(proxy: SshProxy) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with way_to(access("vmware", f"https://localhost:{port}"), proxy) as way:
        assert (way["kind"], way["host"]) == ("http_connect", "127.0.0.1")
    async with way_to(access("kvm", f"qemu+tcp://localhost:{port}"), proxy) as way:
        assert way["kind"] == "socket"
    server.close()
    with pytest.raises(ProviderUnreachableError, match="does not reach"):
        async with way_to(access("vmware", f"https://127.0.0.1:{free_port()}"), proxy):
            pass
