"""Asks libvirt, of KVM or of Xen: what it is, which VMs it has, what one of them is like."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import libvirt

from app.children.answering import ChildError, Code, Request, serve
from app.children.libvirt_tls import plain_socket
from app.errors import InvalidSourceError
from app.formats.domain_xml import read_domain_xml
from app.models.source_vms import ListedVm
from app.models.vm import PowerState, VmConfig

AT_ONCE: Final = 8
"""One connection takes several questions at the same time; the way to it may be long."""
CREDENTIALS: Final = (libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_PASSPHRASE)
CODES: Final = {
    libvirt.VIR_ERR_AUTH_FAILED: Code.AUTHENTICATION_FAILED,
    libvirt.VIR_ERR_AUTH_CANCELLED: Code.AUTHENTICATION_FAILED,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: Code.AUTHENTICATION_FAILED,
    libvirt.VIR_ERR_OPERATION_DENIED: Code.PERMISSION_DENIED,
    libvirt.VIR_ERR_ACCESS_DENIED: Code.PERMISSION_DENIED,
    libvirt.VIR_ERR_NO_DOMAIN: Code.VM_NOT_FOUND,
}
UNREACHABLE: Final = frozenset({libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_RPC})
GONE: Final = frozenset({libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_INVALID_ARG})
ACTIVE, PAUSED, SAVED, SNAPSHOTS = "active", "paused", "managed_save", "snapshots"
FACTS: Final = {
    ACTIVE: libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE,
    PAUSED: libvirt.VIR_CONNECT_LIST_DOMAINS_PAUSED,
    SAVED: libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE,
    SNAPSHOTS: libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT,
    "autostart": libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART,
    "transient": libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT,
    "checkpoints": libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT,
}
"""What is asked of all VMs with one question each."""
SETTINGS: Final = (SAVED, "autostart", "transient", "checkpoints")
Facts = dict[str, set[str]]
"""The UUIDs of the VMs for which each is true."""


def answer(request: Request) -> object:
    try:
        with _connected(request) as connection:
            return _answer(request, connection)
    except libvirt.libvirtError as error:
        raise _told(error) from error


def _answer(request: Request, connection: Any) -> object:
    if request["do"] == "check":
        return {"product": _product(connection), "version": _dotted(connection.getVersion())}
    volumes, facts = _Volumes(connection), _facts(connection)
    if request["do"] == "list":
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda one: _listed(one, facts, volumes), connection.listAllDomains())
            return {"vms": [vm.model_dump(mode="json") for vm in found if vm is not None]}
    vm = _listed(_domain(connection, request["vm_id"]), facts, volumes)
    if vm is None:
        raise ChildError(Code.VM_NOT_FOUND, "The VM was just removed.")
    return {"config": vm.config.model_dump(mode="json"), "path": None}


# --- the connection --------------------------------------------------------------------------------------


@contextmanager
def _connected(request: Request) -> Iterator[Any]:
    # Its own handler prints to standard error what is raised anyway.
    libvirt.registerErrorHandler(lambda _, __: None, None)
    with ExitStack() as stack:
        uri = _uri(request, stack)
        try:
            connection = libvirt.openAuth(uri, _credentials(request), libvirt.VIR_CONNECT_RO)
        except libvirt.libvirtError as error:
            raise _told(error, otherwise=Code.UNREACHABLE) from error
        stack.callback(connection.close)
        yield connection


def _uri(request: Request, stack: ExitStack) -> str:
    """A URI of ours: nothing of the user's text has a place in it but what was checked."""
    url, way = request["url"], request["way"]
    driver, _, transport = url["scheme"].partition("+")
    if transport == "tls":
        path = stack.enter_context(plain_socket(url, way, request["tls"]))
    elif way["kind"] == "socket":
        path = way["path"]
    elif url["host"] is None:
        return f"{driver}://{url['path']}"
    elif transport == "tcp":
        host = f"[{url['host']}]" if ":" in url["host"] else url["host"]
        return f"{driver}+tcp://{host}:{url['port']}{url['path']}"
    else:
        raise ChildError(Code.REFUSED, f"There is no way to {url['scheme']} without a tunnel.")
    return f"{driver}+unix://{url['path'] or '/system'}?socket={path}"


def _credentials(request: Request) -> list[object]:
    """SASL's, of daemons that listen on the network; each is told once."""
    known = {
        libvirt.VIR_CRED_AUTHNAME: request.get("username"),
        libvirt.VIR_CRED_PASSPHRASE: request.get("password"),
    }

    def tell(asked: list[list[Any]], _: object) -> int:
        for one in asked:
            value = known.pop(one[0], None)
            if value is None:
                return -1
            one[4] = value
        return 0

    return [list(CREDENTIALS), tell, None]


def _told(error: Any, *, otherwise: Code = Code.FAILED) -> ChildError:
    code = CODES.get(error.get_error_code())
    if code is None and error.get_error_code() in UNREACHABLE:
        code = Code.UNREACHABLE
    return ChildError(code or otherwise, f"libvirt says: {error.get_error_message()}")


# --- what it has -----------------------------------------------------------------------------------------


def _product(connection: Any) -> str:
    return f"{connection.getType()} (libvirt {_dotted(connection.getLibVersion())})"


def _dotted(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"


def _facts(connection: Any) -> Facts:
    return {name: _uuids(connection, flag) for name, flag in FACTS.items()}


def _uuids(connection: Any, flag: int) -> set[str]:
    try:
        return {domain.UUIDString() for domain in connection.listAllDomains(flag)}
    except libvirt.libvirtError as error:
        # An older daemon doesn't know what a newer one has.
        if error.get_error_code() in {libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_NO_SUPPORT}:
            return set()
        raise


def _domain(connection: Any, vm_id: str) -> Any:
    try:
        return connection.lookupByUUIDString(vm_id)
    except libvirt.libvirtError as error:
        if error.get_error_code() in GONE:
            raise ChildError(Code.VM_NOT_FOUND, "There is no VM with this UUID.") from error
        raise


def _listed(domain: Any, facts: Facts, volumes: "_Volumes") -> ListedVm | None:
    """The VM; one that can't be read with the reason, None for one that is gone by now."""
    uuid: str = domain.UUIDString()
    known = {"id": uuid, "state": _state(uuid, facts), "has_snapshots": uuid in facts[SNAPSHOTS]}
    try:
        config = read_domain_xml(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE).encode(), volumes.path)
    except InvalidSourceError as error:
        return ListedVm(config=VmConfig(name=domain.name(), unreadable=error.detail, **known))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        reason = f"libvirt says: {error.get_error_message()}"
        return ListedVm(config=VmConfig(name=domain.name(), unreadable=reason, **known))
    settings = {**config.settings, **{name: "true" for name in SETTINGS if uuid in facts[name]}}
    return ListedVm(config=config.model_copy(update={**known, "settings": settings}), is_whole=True)


def _state(uuid: str, facts: Facts) -> PowerState:
    if uuid in facts[PAUSED] or (uuid in facts[SAVED] and uuid not in facts[ACTIVE]):
        return PowerState.SUSPENDED
    return PowerState.UP if uuid in facts[ACTIVE] else PowerState.DOWN


class _Volumes:
    """Where the volumes of storage pools are; each is asked for once."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._paths: dict[tuple[str, str], str | None] = {}

    def path(self, pool: str, volume: str) -> str | None:
        names = pool, volume
        if names not in self._paths:
            self._paths[names] = self._ask(pool, volume)
        return self._paths[names]

    def _ask(self, pool: str, volume: str) -> str | None:
        try:
            path: str = self._connection.storagePoolLookupByName(pool).storageVolLookupByName(volume).path()
        except libvirt.libvirtError:
            return None
        return path


if __name__ == "__main__":
    serve(answer)
