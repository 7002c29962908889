"""libvirt over TLS: a real libvirtd, whose certificate is verified by us before it is asked anything."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.children.answering import ChildError, Code
from tests.support.certificates import Certificate, certificate_for
from tests.support.libvirt import asked, refusal
from tests.support.libvirtd import Libvirtd, running
from tests.support.sshd import free_port

NAME = "localhost"
OTHER_PIN = ":".join(["00"] * 32)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Libvirtd]:
    with tempfile.TemporaryDirectory(prefix="v2v-", dir="/tmp") as name:
        certificate = certificate_for(NAME, Path(name))
        with running(Libvirtd(Path(name), certificate)) as server:
            yield server


@pytest.fixture
def certificate(daemon: Libvirtd) -> Certificate:
    assert daemon.certificate is not None
    return daemon.certificate


def url(daemon: Libvirtd, host: str = NAME) -> dict[str, Any]:
    return {"scheme": "qemu+tls", "host": host, "port": daemon.tls_port, "path": "/system"}


def checks(**given: Any) -> dict[str, Any]:
    return {"verify": True, "ca_pem": None, "thumbprint": None, **given}


def test_a_ca_and_a_name_that_fit_are_trusted(daemon: Libvirtd, certificate: Certificate) -> None:
    assert asked("check", url(daemon), tls=checks(ca_pem=certificate.pem))["product"].startswith("QEMU ")


def test_a_pinned_certificate_is_trusted_whatever_its_name(
    daemon: Libvirtd, certificate: Certificate
) -> None:
    found = asked("list", url(daemon, "127.0.0.1"), tls=checks(thumbprint=certificate.thumbprint))
    assert found == {"vms": []}


def test_without_verification_all_are_trusted(daemon: Libvirtd) -> None:
    assert asked("check", url(daemon, "127.0.0.1"), tls=checks(verify=False))["product"].startswith("QEMU ")


@pytest.mark.parametrize("host", [NAME, "127.0.0.1"])
def test_what_is_not_trusted_is_shown(daemon: Libvirtd, certificate: Certificate, host: str) -> None:
    """Signed by nobody who is known, or for another name."""
    ca_pem = certificate.pem if host != NAME else None
    found = refusal("check", url(daemon, host), tls=checks(ca_pem=ca_pem))
    assert (found.code, found.offered_thumbprint) == (
        Code.CERTIFICATE_UNTRUSTED,
        certificate.thumbprint,
    )


def test_another_certificate_than_the_pinned_one_is_told(daemon: Libvirtd, certificate: Certificate) -> None:
    found = refusal("check", url(daemon), tls=checks(thumbprint=OTHER_PIN, ca_pem=certificate.pem))
    assert (found.code, found.offered_thumbprint) == (Code.CERTIFICATE_MISMATCH, certificate.thumbprint)


def test_nobody_listens(daemon: Libvirtd) -> None:
    assert refusal("check", {**url(daemon), "port": free_port()}).code is Code.UNREACHABLE


async def test_the_way_through_a_tunnel_verifies_the_same(
    daemon: Libvirtd, certificate: Certificate, tmp_path: Path
) -> None:
    """The tunnel is a Unix socket here; the name in the URL need not even be known."""
    socket = tmp_path / "tunnel"

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", daemon.tls_port)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    way = {"kind": "socket", "path": str(socket)}
    async with await asyncio.start_unix_server(join, socket):
        trusted = checks(ca_pem=certificate.pem)
        found = await asyncio.to_thread(asked, "check", url(daemon), tls=trusted, way=way)
        assert found["product"].startswith("QEMU ")
        with pytest.raises(ChildError) as refused:
            await asyncio.to_thread(asked, "check", url(daemon, "kvm.example"), tls=trusted, way=way)
    assert refused.value.code is Code.CERTIFICATE_UNTRUSTED


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
