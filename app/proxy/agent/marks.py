"""The marker that a directory of ours carries: a file that says which attempt of which installation made it.

A directory gets its name when it is marked, and loses the marker last: no crash leaves it there unmarked.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Iterator, NamedTuple

from app.proxy.agent import files
from app.proxy.agent.places import is_id

MARKER_NAME = ".v2v-import-attempt"
MOST_MARKER_BYTES = 256


class Mark(NamedTuple):
    """The attempt (or the VM that is being deleted), and the installation; older markers don't say it."""

    attempt_id: str
    installation_id: str | None


def read_mark(directory: Path) -> Mark | None:
    """What the directory's marker says; None when there is none, or nothing that we write."""
    try:
        # A marker of ours is a plain file; what lies there instead must not keep us waiting.
        fd = os.open(directory / MARKER_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        lines = os.read(fd, MOST_MARKER_BYTES).decode("latin-1").split()
    except OSError:
        return None
    finally:
        os.close(fd)
    if not lines or not all(is_id(line) for line in lines[:2]):
        return None
    return Mark(lines[0], lines[1] if len(lines) > 1 else None)


def put_mark(directory: Path, mark: Mark) -> None:
    """Mark a directory that is there."""
    files.write_whole(directory / MARKER_NAME, _text(mark))


def make_marked(directory: Path, mark: Mark) -> None:
    """Make the directory, for its owner alone; it is marked before it has its name."""
    stage = staged(directory, mark.attempt_id)
    stage.mkdir(mode=0o700, exist_ok=True)
    put_mark(stage, mark)
    stage.rename(directory)
    files.flush_names(directory.parent)


def staged(directory: Path, attempt_id: str) -> Path:
    """Its name while it is made or removed."""
    return directory.with_name(f"{MARKER_NAME}-{attempt_id}")


def remove_marked(directory: Path, attempt_id: str) -> None:
    """Remove a directory of the attempt, the marker last; one that is gone, or half gone, is fine."""
    stage = staged(directory, attempt_id)
    _remove_staged(stage)
    if directory != stage and os.path.lexists(directory):
        _empty(directory)
        # Under this name a later try finds it, also when the marker is gone already.
        directory.rename(stage)
        _remove_staged(stage)


def _remove_staged(stage: Path) -> None:
    """Whatever is in it: its name says whose it is."""
    if stage.is_dir():
        _empty(stage)
        files.remove_file(stage / MARKER_NAME)
        stage.rmdir()


def _empty(directory: Path) -> None:
    """Remove everything but the marker."""
    for entry in directory.iterdir():
        if entry.name == MARKER_NAME:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def marked_in(parent: Path) -> Iterator[tuple[Path, Mark | None]]:
    """Each directory in it, with its mark. Raises OSError."""
    with os.scandir(parent) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                directory = Path(entry.path)
                yield directory, read_mark(directory) or _mark_in(entry.name)


def _mark_in(name: str) -> Mark | None:
    """What the name of a staged directory says, whose marker isn't there yet or is gone already."""
    attempt_id = name[len(MARKER_NAME) + 1 :]
    is_staged = name.startswith(f"{MARKER_NAME}-") and is_id(attempt_id)
    return Mark(attempt_id, None) if is_staged else None


def _text(mark: Mark) -> bytes:
    return "".join(f"{part}\n" for part in mark if part is not None).encode()
