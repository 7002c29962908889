"""Lets a job trust one set of certificates and no other: libvirt's driver for ESX can't be told which.

The job gets mounts of its own, in which these certificates lie where its system keeps those that it trusts.
They are gone when its last process is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterable

from app.proxy.agent import own_mounts
from app.proxy.agent.refusals import RefusedError

DIRECTORIES = (
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted/pem",
    "/var/lib/ca-certificates/pem",
)
FILES = ("/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem", "/var/lib/ca-certificates/ca-bundle.pem")
BUNDLES = ("ca-certificates.crt", "ca-bundle.crt", "tls-ca-bundle.pem", "ca-bundle.pem")
"""How the one file is called in these directories that holds all certificates."""
STORE = "trusted"


def trust_only(certificates: Path) -> None:
    """Do so for this process, and for what comes from it. Raises RefusedError, OSError."""
    directories, files = _found(DIRECTORIES, Path.is_dir), _found(FILES, Path.is_file)
    if not directories | files:
        raise RefusedError("no store of trusted certificates was found on the proxy host")
    store = _store(certificates)
    own_mounts.leave_the_hosts()
    for place in directories:
        _bind(store, place)
    for place in files:
        _bind(certificates, place)


def _found(places: Iterable[str], is_there: Callable[[Path], bool]) -> set[Path]:
    """Without links: several names may lead to one place."""
    return {Path(place).resolve() for place in places if is_there(Path(place))}


def _bind(source: Path, place: Path) -> None:
    if place.exists():
        # Where a directory lies over it by now, there is nothing more to hide.
        own_mounts.bind(source, place)


def _store(certificates: Path) -> Path:
    """A directory that looks like a system's, beside the file."""
    store = certificates.with_name(STORE)
    store.mkdir(mode=0o755, exist_ok=True)
    for name in BUNDLES:
        (store / name).write_bytes(certificates.read_bytes())
    return store
