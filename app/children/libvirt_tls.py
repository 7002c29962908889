"""libvirt's TLS, spoken by us: its own knows no pinned certificate, and no Unix socket.

What libvirt is given is a Unix socket in a directory of this process's own. Behind it is one TLS connection
to the peer, whose certificate was verified first, for the name in the provider's URL.
"""

import hashlib
import hmac
import select
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from app.children.answering import ChildError, Code

BLOCK_BYTES: Final = 65_536
CONNECT_SECONDS: Final = 20.0
WELCOME: Final = b"\1"
"""What the daemon says when it takes us; one that wants a certificate of ours hangs up instead."""
SHA1_DIGITS: Final = 40
Parts = dict[str, Any]
"""A part of the request (`app.children`)."""


@contextmanager
def plain_socket(url: Parts, way: Parts, checks: Parts) -> Iterator[str]:
    """The path of a socket behind which is the daemon. Raises ChildError; nothing was sent then."""
    with _secured(url, way, checks) as peer, tempfile.TemporaryDirectory(prefix="v2v-") as directory:
        path = str(Path(directory, "s"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            threading.Thread(target=_serve, args=(listener, peer), daemon=True).start()
            yield path


def _secured(url: Parts, way: Parts, checks: Parts) -> ssl.SSLSocket:
    try:
        peer = _shaken(url, way, _context(checks))
    except ssl.SSLCertVerificationError as error:
        detail = f"The certificate of {url['host']} can't be verified: {error.verify_message}."
        raise ChildError(Code.CERTIFICATE_UNTRUSTED, detail, offered_thumbprint=_offered(url, way)) from error
    if checks["thumbprint"] is not None:
        _check_pin(peer, checks["thumbprint"])
    with _told_of(url):
        welcome = peer.recv(1)
        peer.settimeout(None)
    if welcome != WELCOME:
        raise ChildError(Code.AUTHENTICATION_FAILED, "The daemon wants a certificate of its clients.")
    return peer


def _shaken(url: Parts, way: Parts, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection with the keys agreed on. Raises SSLCertVerificationError, ChildError."""
    with _told_of(url):
        plain = _reached(url, way)
        try:
            return context.wrap_socket(plain, server_hostname=url["host"])
        except OSError:
            plain.close()
            raise


def _reached(url: Parts, way: Parts) -> socket.socket:
    if way["kind"] != "socket":
        return socket.create_connection((url["host"], url["port"]), CONNECT_SECONDS)
    found = socket.socket(socket.AF_UNIX)
    found.settimeout(CONNECT_SECONDS)
    found.connect(way["path"])
    return found


@contextmanager
def _told_of(url: Parts) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError:
        raise
    except OSError as error:
        raise ChildError(Code.UNREACHABLE, f"{url['host']} does not speak TLS with us: {error}.") from error


def _context(checks: Parts) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=checks["ca_pem"])
    if checks["thumbprint"] is not None or not checks["verify"]:
        _let_all_in(context)
    return context


def _let_all_in(context: ssl.SSLContext) -> None:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def _offered(url: Parts, way: Parts) -> str:
    """The thumbprint of the certificate that is shown; nothing is sent there."""
    context = ssl.create_default_context()
    _let_all_in(context)
    with _shaken(url, way, context) as peer:
        return _with_colons(_thumbprint(peer, "sha256"))


def _check_pin(peer: ssl.SSLSocket, pin: str) -> None:
    wanted = pin.replace(":", "").lower()
    offered = _thumbprint(peer, "sha1" if len(wanted) == SHA1_DIGITS else "sha256")
    if not hmac.compare_digest(offered, wanted):
        peer.close()
        raise ChildError(
            Code.CERTIFICATE_MISMATCH,
            "The certificate is not the pinned one.",
            offered_thumbprint=_with_colons(offered),
        )


def _thumbprint(peer: ssl.SSLSocket, algorithm: str) -> str:
    return hashlib.new(algorithm, peer.getpeercert(binary_form=True) or b"").hexdigest()


def _with_colons(digits: str) -> str:
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).upper()


def _serve(listener: socket.socket, peer: ssl.SSLSocket) -> None:
    """One connection, which is libvirt's; whichever side ends ends both."""
    # One that was closed here meanwhile has no number any more.
    with suppress(OSError, ValueError):
        client, _ = listener.accept()
        with client:
            while _moved(client, peer):
                pass


def _moved(client: socket.socket, peer: ssl.SSLSocket) -> bool:
    """Whether bytes came from either side, which the other one has now."""
    ready = [peer] if peer.pending() else select.select([client, peer], [], [])[0]
    for source, target in ((client, peer), (peer, client)):
        if source in ready:
            data = source.recv(BLOCK_BYTES)
            if not data:
                return False
            target.sendall(data)
    return True
