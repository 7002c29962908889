"""Connections whose peer is known before anything is sent: by a CA, or by the thumbprint of its certificate.

pyvmomi itself checks no thumbprint where its context verifies nothing, and nothing at all for loopback.
"""

import base64
import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPSConnection
from typing import Final

from app.children.answering import ChildError, Code, Request

SHA1_DIGITS: Final = 40


@dataclass(frozen=True)
class Peer:
    """Who is asked, which way, and how it proves who it is."""

    host: str
    port: int
    tls: Mapping[str, object]
    way: Mapping[str, object]
    timeout_seconds: float


def peer_of(request: Request) -> Peer:
    url = request["url"]
    return Peer(
        host=url["host"],
        port=url["port"] or 443,
        tls=request["tls"],
        way=request["way"],
        timeout_seconds=request["deadline_seconds"],
    )


class CheckedConnection(HTTPSConnection):
    """Compares the peer's certificate, where one is pinned, at the end of each handshake.

    With a context of its own it is for looking at the certificate alone.
    """

    def __init__(self, peer: Peer, *, looking: ssl.SSLContext | None = None) -> None:
        context = looking or _context(peer)
        through = peer.way if peer.way["kind"] == "http_connect" else {"host": peer.host, "port": peer.port}
        super().__init__(
            str(through["host"]), int(str(through["port"])), timeout=peer.timeout_seconds, context=context
        )
        self._pinned = None if looking else peer.tls["thumbprint"]
        self.certificate = b""
        """The peer's, in DER, once it is connected."""
        if peer.way["kind"] == "http_connect":
            self.set_tunnel(peer.host, peer.port, _proxy_login(peer.way))

    def connect(self) -> None:
        super().connect()
        self.certificate = self.sock.getpeercert(binary_form=True) or b""
        if isinstance(self._pinned, str):
            self._compare(self._pinned)

    def _compare(self, pinned: str) -> None:
        digits = pinned.replace(":", "").lower()
        algorithm = "sha1" if len(digits) == SHA1_DIGITS else "sha256"
        if hashlib.new(algorithm, self.certificate, usedforsecurity=False).hexdigest() != digits:
            self.close()
            raise ChildError(
                Code.CERTIFICATE_MISMATCH,
                "The server's certificate is another one than the pinned one.",
                offered_thumbprint=thumbprint(self.certificate),
            )


class Connector:
    """Connects to one peer, and remembers the certificate that it showed and that was trusted."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.certificate = b""

    def connected(self) -> CheckedConnection:
        connection = CheckedConnection(self.peer)
        connection.connect()
        self.certificate = connection.certificate
        return connection


def offered_certificate(peer: Peer) -> bytes:
    """The certificate that the peer shows, whoever signed it, in DER. Nothing is sent to it."""
    return _looked_at(peer, _unverified())


def vouches_for_itself(peer: Peer, certificate: bytes) -> bool:
    """Whether the peer is known by this certificate alone, its name included, to those that pin none."""
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(certificate))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        _looked_at(peer, context)
    except ssl.SSLCertVerificationError:
        return False
    return True


def _looked_at(peer: Peer, context: ssl.SSLContext) -> bytes:
    connection = CheckedConnection(peer, looking=context)
    try:
        connection.connect()
        return connection.certificate
    finally:
        connection.close()


def thumbprint(certificate: bytes, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, certificate, usedforsecurity=False).digest()
    return digest.hex(":").upper()


def _context(peer: Peer) -> ssl.SSLContext:
    if peer.tls["thumbprint"] or not peer.tls["verify"]:
        return _unverified()
    pem = peer.tls["ca_pem"]
    try:
        return ssl.create_default_context(cadata=str(pem) if pem else None)
    except ssl.SSLError as error:
        raise ChildError(Code.CERTIFICATE_UNTRUSTED, "`tls.ca_pem` holds no certificate.") from error


def _unverified() -> ssl.SSLContext:
    """Of no use by itself: who uses it compares the certificate, or was told not to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _proxy_login(way: Mapping[str, object]) -> dict[str, str]:
    if not way.get("username"):
        return {}
    login = f"{way['username']}:{way['password']}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login).decode()}"}
