"""Writing files so that a reader finds the old bytes or the new ones, never half of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional, Tuple

Owner = Optional[Tuple[int, int]]
"""User and group id; None leaves them as they are."""


def write_whole(path: Path, data: bytes, *, mode: int = 0o600, owner: Owner = None) -> None:
    """Write, flush to the disk, and only then give the file its name."""
    part = path.with_name(f".{path.name}.part")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            own(fd, mode, owner)
            file.flush()
            os.fsync(fd)
        part.replace(path)
    except OSError:
        remove_file(part)
        raise
    flush_names(path.parent)


def own(fd: int, mode: int, owner: Owner) -> None:
    """Set the owner, then the mode: a change of owner takes bits of the mode away."""
    if owner is not None:
        os.fchown(fd, owner[0], owner[1])
    os.fchmod(fd, mode)


def flush_names(directory: Path) -> None:
    """Make a rename in the directory outlive a crash of the host."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_file(path: Path) -> None:
    """Remove a file; one that is gone is fine."""
    try:
        path.unlink()
    except FileNotFoundError:
        return


def close(fd: int) -> None:
    """Close a descriptor; one that is closed is fine."""
    try:
        os.close(fd)
    except OSError:
        return
