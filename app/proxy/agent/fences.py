"""Lets one turn of an attempt change things at a time, and none that a newer turn has overtaken."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from app.proxy.agent.places import Place, prepare
from app.proxy.agent.refusals import FencedError, RefusedError

WAIT_SECONDS = 20.0
POLL_SECONDS = 0.02
KEEP_SECONDS = 30 * 24 * 3600
"""How long the highest turn of an attempt is remembered after its last command."""


@contextmanager
def held(work_dir: str, attempt_id: str, turn: int) -> Iterator[Place]:
    """Hold the attempt's lock, its turn noted. Raises FencedError when a higher one was seen before.

    The note outlives the attempt's directory: a late command can't make anything after its removal.
    """
    prepare(work_dir)
    place = Place(work_dir, attempt_id)
    fd = _locked(place.gate)
    try:
        _note(fd, turn)
        yield place
    finally:
        os.close(fd)


def _note(fd: int, turn: int) -> None:
    seen = _seen(fd)
    if turn < seen:
        raise FencedError(f"Turn {seen} has taken over from turn {turn}.")
    if turn > seen:
        # One fixed-width write: a crash leaves the old number or the new one.
        note = b"%020d\n" % turn
        os.pwrite(fd, note, 0)
        # What is longer was no note of ours.
        os.ftruncate(fd, len(note))
        os.fsync(fd)


def _seen(fd: int) -> int:
    """The highest turn so far. A note that can't be read fences nobody: who ends the job must be let in."""
    try:
        return int(os.pread(fd, 32, 0) or b"-1")
    except ValueError:
        return -1


def _locked(gate: Path) -> int:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        fd = os.open(gate, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if lock_now(fd, fcntl.LOCK_EX) and os.fstat(fd).st_nlink:
            return fd
        os.close(fd)
        if time.monotonic() > deadline:
            raise RefusedError("Another command of this attempt is still running.")
        time.sleep(POLL_SECONDS)


def lock_now(fd: int, kind: int) -> bool:
    """Take a lock if it is free."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def forget_old(work_dir: str) -> None:
    """Drop the notes of attempts that are long gone."""
    oldest = time.time() - KEEP_SECONDS
    for gate in (Path(work_dir) / "turns").iterdir():
        if gate.stat().st_mtime < oldest and not (Path(work_dir) / "attempts" / gate.name).is_dir():
            _drop(gate)


def _drop(gate: Path) -> None:
    fd = os.open(gate, os.O_RDWR)
    try:
        if lock_now(fd, fcntl.LOCK_EX):
            gate.unlink()
    finally:
        os.close(fd)
