"""Lists what carries a marker on the host: attempts' directories, processes, uploads, and on storage."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Iterator

from app.proxy.agent import processes
from app.proxy.agent.attempts import is_held
from app.proxy.agent.looking import is_text
from app.proxy.agent.marks import MARKER_NAME, Mark, marked_in, staged
from app.proxy.agent.places import Place, is_id

BLOCK_BYTES = 512


class Bounds:
    """How much of each kind may be told, and how long the look may take."""

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self.deadline = time.monotonic() + seconds
        self.complete = True

    def allow(self, count: int) -> bool:
        """Whether there may be one more than `count`; when not, the list isn't complete."""
        if count < self.most and not self.is_over():
            return True
        self.complete = False
        return False

    def is_over(self) -> bool:
        return time.monotonic() > self.deadline


class Found:
    """Something that carries a mark, and its directories; `more` is what only its kind tells."""

    def __init__(self, mark: Mark, more: dict[str, object]) -> None:
        self.mark, self.more = mark, more
        self.directories: list[Path] = []

    def add(self, directory: Path, mark: Mark) -> None:
        self.directories.append(directory)
        if self.mark.installation_id is None:
            self.mark = mark

    def told(self, bounds: Bounds) -> dict[str, object]:
        return {
            "attempt_id": self.mark.attempt_id,
            "installation_id": self.mark.installation_id,
            "path": str(self.directories[0]) if self.directories else None,
            "size_bytes": _size(self.directories, bounds) if self.directories else None,
            "made_at": min(map(_made_at, self.directories), default=None),
            **self.more,
        }


def inventory(*, work_dir: str, storage: list[str], most: int, seconds: float) -> dict[str, object]:
    bounds = Bounds(most, seconds)
    attempts = _attempts(Path(work_dir), bounds)
    uploads = _uploads(Path(work_dir) / "uploads", bounds)
    unread: list[dict[str, str]] = []
    directories = [found for root in storage for found in _directories(root, bounds, unread)]
    return {
        "attempts": [found.told(bounds) for found in attempts],
        "directories": [found.told(bounds) for found in directories],
        "uploads": [found.told(bounds) for found in uploads],
        "unread": unread,
        "complete": bounds.complete,
    }


def _directories(root: str, bounds: Bounds, unread: list[dict[str, str]]) -> list[Found]:
    """The marked directories in a storage directory; one that can't be read is added to `unread`."""
    found: list[Found] = []
    try:
        for directory, mark in marked_in(Path(root)):
            if not bounds.allow(len(found)):
                break
            if mark is not None and is_text(str(directory)):
                found.append(Found(mark, {"root": root}))
                found[-1].add(directory, mark)
    except OSError as error:
        unread.append({"root": root, "detail": f"{root!r} can't be read: {error}."})
    return found


def _uploads(parent: Path, bounds: Bounds) -> list[Found]:
    """Each upload once, whatever is left of it."""
    found: dict[str, Found] = {}
    for directory, mark in marked_in(parent) if parent.is_dir() else ():
        if mark is None or not _is_place_of(directory, mark.attempt_id):
            continue
        if mark.attempt_id not in found and not bounds.allow(len(found)):
            break
        found.setdefault(mark.attempt_id, Found(mark, {})).add(directory, mark)
    return list(found.values())


def _attempts(root: Path, bounds: Bounds) -> list[Found]:
    """Each attempt once, whatever is left of it."""
    found: dict[str, Found] = {}
    for directory, mark in _own_directories(root):
        if mark.attempt_id not in found and not bounds.allow(len(found)):
            break
        found.setdefault(mark.attempt_id, Found(mark, {})).add(directory, mark)
    running = processes.by_attempt()
    for attempt_id, pids in running.items():
        if attempt_id not in found and is_id(attempt_id) and bounds.allow(len(found)):
            found[attempt_id] = Found(Mark(attempt_id, processes.installation(pids)), {})
    for attempt_id, attempt in found.items():
        attempt.more["running"] = attempt_id in running or is_held(Place(str(root), attempt_id))
    return list(found.values())


def _own_directories(root: Path) -> Iterator[tuple[Path, Mark]]:
    """Those of attempts. One from before there were markers in them is known by its name."""
    for parent in (root / "attempts", root / "t"):
        if not parent.is_dir():
            continue
        for directory, found in marked_in(parent):
            mark = found or (Mark(directory.name, None) if is_id(directory.name) else None)
            if mark is not None and _is_place_of(directory, mark.attempt_id):
                yield directory, mark


def _is_place_of(directory: Path, attempt_id: str) -> bool:
    """Whether `remove_attempt` would find it; else somebody has moved it there."""
    return directory.name in {attempt_id, attempt_id[-12:], staged(directory, attempt_id).name}


def _made_at(directory: Path) -> float:
    """When it was marked; the directory's own time moves with its content."""
    marker = directory / MARKER_NAME
    try:
        return (marker if os.path.lexists(marker) else directory).lstat().st_mtime
    except OSError:
        # It has just gone.
        return time.time()


def _size(directories: list[Path], bounds: Bounds) -> int | None:
    """Bytes on the disk; None when that takes too long to find out."""
    total, waiting = 0, [str(directory) for directory in directories]
    while waiting:
        if bounds.is_over():
            return None
        # It goes on changing while we look.
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                total += entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return total
