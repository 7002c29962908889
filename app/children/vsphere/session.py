"""A session with a server: opened, used for one request, closed."""

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pyVmomi import vim, vmodl
from pyVmomi.SoapAdapter import SoapStubAdapter
from pyVmomi.VmomiSupport import versionMap

from app.children.answering import ChildError, Code, Request
from app.children.vsphere.tls import (
    CheckedConnection,
    Connector,
    Peer,
    offered_certificate,
    peer_of,
    thumbprint,
)

OLDEST: Final = "vim.version.version9"
"""vSphere 5.5; what a server tells of itself is the same in all."""


class CountingStub(SoapStubAdapter):
    """Connects as we do, and counts what is asked of the server."""

    def __init__(self, connector: Connector) -> None:
        peer = connector.peer
        super().__init__(host=peer.host, port=peer.port, path="/sdk", version=OLDEST)  # type: ignore[no-untyped-call]  # has no types
        self.round_trips = 0
        self._connector = connector

    def InvokeMethod(self, *args: Any, **kwargs: Any) -> Any:  # noqa: N802  # pyvmomi's name
        self.round_trips += 1
        return super().InvokeMethod(*args, **kwargs)  # type: ignore[no-untyped-call]  # has no types

    def use(self, version: str) -> None:
        self.ComputeVersionInfo(version)  # type: ignore[no-untyped-call]  # has no types

    def close(self) -> None:
        self.DropConnections()  # type: ignore[no-untyped-call]  # has no types

    def GetConnection(self) -> CheckedConnection:  # noqa: N802  # pyvmomi's name
        """One of the pool; else a new one, which pyvmomi would make without our checks."""
        return self.pool.pop(0)[0] if self.pool else self._connector.connected()


@dataclass(frozen=True)
class Session:
    content: Any
    """Its managers; pyvmomi's stubs take all of them for optional, and all arguments for needed."""
    stub: CountingStub
    connector: Connector

    @property
    def is_vcenter(self) -> bool:
        return bool(self.content.about.apiType == "VirtualCenter")


@contextlib.contextmanager
def opened(request: Request) -> Iterator[Session]:
    """Raises ChildError where the server can't be trusted; else what pyvmomi raises."""
    connector = Connector(peer_of(request))
    stub = CountingStub(connector)
    try:
        with _trusted(connector.peer):
            content: Any = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        stub.use(_version(content.about.apiVersion))
        content.sessionManager.Login(request["username"] or "", request["password"] or "")
        with _logged_out(content):
            yield Session(content, stub, connector)
    finally:
        stub.close()


@contextlib.contextmanager
def _logged_out(content: Any) -> Iterator[None]:
    """A server that answers no more is not asked to end the session."""
    answers = True
    try:
        yield
    except OSError:
        answers = False
        raise
    finally:
        if answers:
            with contextlib.suppress(vmodl.MethodFault, OSError):
                content.sessionManager.Logout()


@contextlib.contextmanager
def _trusted(peer: Peer) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise ChildError(
            Code.CERTIFICATE_UNTRUSTED,
            f"The server's certificate can't be verified: {error.verify_message}.",
            offered_thumbprint=thumbprint(offered_certificate(peer)),
        ) from error


def _version(server: str) -> str:
    """The newest version that pyvmomi and the server both speak."""
    known = {_numbers(name.removeprefix("vim25/")): name for name in versionMap if name.startswith("vim25/")}
    spoken = [numbers for numbers in known if numbers and numbers <= _numbers(server)]
    return str(versionMap[known[max(spoken)]]) if spoken else OLDEST


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()
