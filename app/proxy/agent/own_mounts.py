"""Mounts that a job has for itself: nobody else sees them, and they are gone when its last process is."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_BIND, MS_REC, MS_SLAVE = 0x1000, 0x4000, 0x80000


def leave_the_hosts() -> None:
    """What this process mounts from here on is its own, and that of what comes from it. Raises OSError."""
    _leave()
    # What the host mounts or unmounts is still heard of.
    _call("mount", None, b"/", None, MS_REC | MS_SLAVE, None)


def bind(source: Path, place: Path) -> None:
    """Let the file or directory lie over the place. Raises OSError."""
    _call("mount", os.fsencode(source), os.fsencode(place), None, MS_BIND, None)


def _leave() -> None:
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


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)} ({name})")
