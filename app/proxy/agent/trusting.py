"""Lets a job trust one set of certificates and no other: libvirt's driver for ESX can't be told which.

The job gets mounts of its own, in which these certificates lie where its system keeps those that it trusts.
They are gone when its last process is.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Callable, Iterable

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
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000


def trust_only(certificates: Path) -> None:
    """Do so for this process, and for what comes from it. Raises RefusedError, OSError."""
    directories, files = _found(DIRECTORIES, Path.is_dir), _found(FILES, Path.is_file)
    if not directories | files:
        raise RefusedError("no store of trusted certificates was found on the proxy host")
    store = _store(certificates)
    _leave_mounts()
    _call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    for place in directories:
        _bind(store, place)
    for place in files:
        _bind(certificates, place)


def _leave_mounts() -> None:
    """Whoever isn't root may have mounts of his own where he has users of his own: himself alone."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _call("unshare", CLONE_NEWNS)
        return
    _call("unshare", CLONE_NEWNS | CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path("/proc/self", name).write_text(text, encoding="ascii")


def _found(places: Iterable[str], is_there: Callable[[Path], bool]) -> set[Path]:
    """Without links: several names may lead to one place."""
    return {Path(place).resolve() for place in places if is_there(Path(place))}


def _bind(source: Path, place: Path) -> None:
    if place.exists():
        # Where a directory lies over it by now, there is nothing more to hide.
        _call("mount", os.fsencode(source), os.fsencode(place), None, MS_BIND, None)


def _store(certificates: Path) -> Path:
    """A directory that looks like a system's, beside the file."""
    store = certificates.with_name(STORE)
    store.mkdir(mode=0o755, exist_ok=True)
    for name in BUNDLES:
        (store / name).write_bytes(certificates.read_bytes())
    return store


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)} ({name})")
