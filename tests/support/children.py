"""The programs of the service that a process has started."""

import contextlib
from pathlib import Path


def children_running(parent: int, name: str) -> list[int]:
    """The children that run `v2v-import NAME`; none of a process that is gone."""
    with contextlib.suppress(OSError):
        pids = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(pid) for pid in pids if f"\0{name}\0".encode() in _command_line(pid)]
    return []


def _command_line(pid: str) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
