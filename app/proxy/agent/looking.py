"""Looks at what lies at a source's path: nothing outside the source roots, whatever links say."""

from __future__ import annotations

import base64
import errno
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, NamedTuple

from app.proxy.agent.refusals import (
    InvalidSourceError,
    RefusedError,
    SourceNotAllowedError,
    SourceNotFoundError,
    SourceUnreadableError,
)

MOST_NAMES = 10_000


class Opened(NamedTuple):
    """A file, directory or block device that may be read: what `path` was when it was opened."""

    fd: int
    path: Path
    kind: str
    size_bytes: int


def look(*, path: str, roots: list[str]) -> dict[str, object]:
    with opened(path, roots) as found:
        return {
            "path": str(found.path),
            "kind": found.kind,
            "size_bytes": found.size_bytes,
            "names": _names(found.fd) if found.kind == "directory" else [],
        }


def read(*, path: str, roots: list[str], limit_bytes: int) -> dict[str, str]:
    with opened(path, roots) as found:
        return read_all(found, limit_bytes)


def read_result(*, path: str, limit_bytes: int) -> dict[str, str]:
    with opened_result(path) as found:
        return read_all(found, limit_bytes)


def list_result(*, path: str) -> dict[str, object]:
    with opened_result(path) as found:
        if found.kind != "directory":
            raise InvalidSourceError(f"{path!r} is no directory.")
        return {"names": _names(found.fd)}


def read_all(found: Opened, limit_bytes: int) -> dict[str, str]:
    """A regular file's bytes, all or none."""
    if found.kind != "file":
        raise InvalidSourceError(f"{str(found.path)!r} is no file.")
    with os.fdopen(os.dup(found.fd), "rb") as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise InvalidSourceError(f"{str(found.path)!r} is longer than {limit_bytes} bytes.")
    return {"data": base64.b64encode(data).decode()}


def resolve(path: str, roots: list[str]) -> Path:
    """The real path, links resolved. Raises SourceNotAllowedError when it lies under none of the roots."""
    if not path.startswith("/") or "\0" in path:
        raise SourceNotAllowedError(f"{path!r} is no absolute path.")
    with told_as_source(path):
        real = Path(path).resolve(strict=True)
    _check_inside(real, roots, path)
    return real


@contextmanager
def opened(path: str, roots: list[str]) -> Iterator[Opened]:
    """Open for reading. What was opened is looked at again: links may have changed since."""
    with _opened(resolve(path, roots), path, os.O_NOFOLLOW) as found:
        _check_inside(found.path, roots, path)
        yield found


@contextmanager
def opened_result(path: str) -> Iterator[Opened]:
    """Open what virt-v2v made, wherever that is; the path itself must not be a link."""
    if not path.startswith("/"):
        raise SourceNotFoundError(f"{path!r} is no absolute path.")
    with _opened(Path(path), path, os.O_NOFOLLOW) as found:
        yield found


@contextmanager
def told_as_source(path: str) -> Iterator[None]:
    """Say the system's errors about a source's path in our words."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            raise SourceNotFoundError(f"There is no {path!r} on the proxy host.") from error
        raise SourceUnreadableError(f"{path!r} can't be read: {error.strerror}.") from error
    except RuntimeError as error:
        # What Path.resolve says of links in a circle before Python 3.13.
        raise SourceUnreadableError(f"{path!r} can't be read: its links form a circle.") from error


@contextmanager
def _opened(real: Path, asked: str, flags: int) -> Iterator[Opened]:
    with told_as_source(asked):
        kind = _kind(real.stat().st_mode)
        # O_NONBLOCK: should it have become a FIFO since, the open must not hang.
        fd = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | flags)
    try:
        kind = _kind(os.fstat(fd).st_mode)
        if not kind:
            raise SourceUnreadableError(f"{asked!r} is no file, directory or block device.")
        size = 0 if kind == "directory" else os.lseek(fd, 0, os.SEEK_END)
        os.lseek(fd, 0, os.SEEK_SET)
        yield Opened(fd, Path(os.readlink(f"/proc/self/fd/{fd}")), kind, size)
    finally:
        os.close(fd)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFBLK: "block_device"}
    return kinds.get(stat.S_IFMT(mode), "")


def _check_inside(real: Path, roots: list[str], asked: str) -> None:
    if not any(is_inside(real, Path(root).resolve()) for root in roots if root.startswith("/")):
        raise SourceNotAllowedError(f"{asked!r} lies in none of the proxy host's source roots.")
    if not is_text(str(real)):
        raise SourceUnreadableError(f"{asked!r} leads to a name that is no UTF-8.")


def is_inside(path: Path, directory: Path) -> bool:
    return path == directory or directory in path.parents


def is_text(name: str) -> bool:
    """Whether a file name's bytes are UTF-8; JSON can say no others."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _names(fd: int) -> list[str]:
    names = sorted(name for name in os.listdir(fd) if is_text(name))
    if len(names) > MOST_NAMES:
        raise RefusedError(f"The directory has more than {MOST_NAMES} entries.")
    return names
