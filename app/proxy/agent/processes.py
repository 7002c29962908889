"""Finds and ends the processes of an attempt, by what they carry: a number alone proves nothing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Callable, Iterator

from app.proxy.agent.places import Place, is_id

MARKER = "V2V_IMPORT_ATTEMPT"
"""The environment variable that virt-v2v and all its children inherit; its value is the attempt's id."""
POLL_SECONDS = 0.05
KILL_SECONDS = 5.0
INSTALLATION = "V2V_IMPORT_INSTALLATION"
"""The environment variable beside it: whose attempt that is."""


def by_attempt() -> dict[str, list[int]]:
    """The processes that carry a marker, by the attempt that it names."""
    found: dict[str, list[int]] = {}
    for directory in _directories():
        attempt_id = _variable(directory, MARKER)
        if attempt_id is not None:
            found.setdefault(attempt_id, []).append(int(directory.name))
    return found


def marked(place: Place) -> set[int]:
    """virt-v2v and what it started; not its supervisor."""
    return set(by_attempt().get(place.attempt_id, []))


def installation(pids: list[int]) -> str | None:
    """The installation that the processes of an attempt name."""
    named = (_variable(Path("/proc") / str(pid), INSTALLATION) for pid in pids)
    return next((value for value in named if value is not None and is_id(value)), None)


def holders(place: Place) -> set[int]:
    """Who holds the attempt's lock: its supervisor, and children that kept the descriptor.

    They have it open for writing; who only looks whether it is held has not.
    """
    return {int(directory.name) for directory in _directories() if _holds(directory, place.alive)}


def end(find: Callable[[], set[int]], grace_seconds: float) -> bool:
    """TERM to each process that `find` finds, then KILL; whether all are gone."""
    return _until_gone(find, _ask, grace_seconds) or kill(find)


def kill(find: Callable[[], set[int]]) -> bool:
    """KILL to each process that `find` finds, and to its group; whether all are gone."""
    return _until_gone(find, _kill, KILL_SECONDS)


def resume(pids: set[int]) -> None:
    """Let those that somebody stopped (SIGSTOP) go on."""
    for pid in pids:
        _send(pid, signal.SIGCONT)


def wait(gone: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not gone():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def io_bytes(pid: int) -> int:
    """All bytes that the process read and wrote so far; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split(": ") for line in lines)
    return int(counts.get("rchar", 0)) + int(counts.get("wchar", 0))


def _until_gone(find: Callable[[], set[int]], tell: Callable[[int], None], seconds: float) -> bool:
    told: set[int] = set()

    def gone() -> bool:
        alive = find()
        for pid in alive - told:
            tell(pid)
        told.update(alive)
        return not alive

    return wait(gone, seconds)


def _ask(pid: int) -> None:
    _send(pid, signal.SIGTERM)
    # A stopped process would not hear of it.
    _send(pid, signal.SIGCONT)


def _kill(pid: int) -> None:
    """The kernel ends a group as one: what a member forks at that moment ends with it."""
    try:
        # A group of ours would be our own session's; the job's sessions are its own.
        if os.getsid(pid) != os.getsid(0):
            os.killpg(os.getpgid(pid), signal.SIGKILL)
    except ProcessLookupError:
        return
    _send(pid, signal.SIGKILL)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _directories() -> Iterator[Path]:
    own = str(os.getpid())
    return (entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and entry.name != own)


def _variable(process: Path, name: str) -> str | None:
    """The value of a variable in the process's environment."""
    prefix = name.encode() + b"="
    try:
        environment = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        # Another user's process, or one that has just ended.
        return None
    found = (item[len(prefix) :] for item in environment if item.startswith(prefix))
    return next((value.decode(errors="replace") for value in found), None)


def _holds(process: Path, alive: Path) -> bool:
    try:
        return any(_is_writing(link, alive) for link in (process / "fd").iterdir())
    except OSError:
        return False


def _is_writing(link: Path, alive: Path) -> bool:
    try:
        return os.readlink(link) == str(alive) and bool(link.lstat().st_mode & 0o200)
    except OSError:
        return False
