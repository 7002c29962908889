"""Makes and removes what an attempt puts into storage directories.

A directory that we make carries a marker (`marks`) until the VM is finished. Files are made only
in directories that carry it, and no others are removed: a wrong path can't cost anybody their files.
"""

from __future__ import annotations

import base64
import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional, Sequence

from app.proxy.agent import commands, files
from app.proxy.agent.fences import held
from app.proxy.agent.marks import MARKER_NAME, Mark, make_marked, put_mark, read_mark, remove_marked, staged
from app.proxy.agent.refusals import NO_ROOM, DomainUnusableError, NoRoomError, of_system

CREATE_SECONDS = 100.0
PROBE_BYTES = 4096

PairOrNone = Optional[Sequence[int]]
"""A file's owner as JSON has it: [user id, group id]."""


def make_dir(
    *,
    work_dir: str,
    path: str,
    attempt_id: str,
    turn: int,
    installation_id: str,
    mode: int,
    owner: PairOrNone,
) -> None:
    directory = _absolute(path)
    with held(work_dir, attempt_id, turn), _told_as_domain(path):
        if os.path.lexists(directory):
            _check_marked(directory, attempt_id)
        else:
            make_marked(directory, Mark(attempt_id, installation_id))
        _own(directory, os.O_DIRECTORY, mode, owner)


def make_image(
    *,
    work_dir: str,
    path: str,
    attempt_id: str,
    turn: int,
    format_name: str,
    capacity_bytes: int,
    preallocated: bool,
    options: list[str],
    mode: int,
    owner: PairOrNone,
) -> None:
    image = _absolute(path)
    if preallocated:
        options = [*options, "preallocation=falloc"]
    with held(work_dir, attempt_id, turn), _told_as_domain(path):
        _check_marked(image.parent, attempt_id)
        # It got its name when it was whole; virt-v2v may be filling it by now.
        if os.path.lexists(image):
            return
        if preallocated:
            _check_room(image.parent, capacity_bytes)
        part = image.with_name(f".{image.name}.part")
        try:
            _create(part, format_name, capacity_bytes, options)
            _own(part, 0, mode, owner)
            part.rename(image)
        finally:
            files.remove_file(part)


def _create(part: Path, format_name: str, capacity_bytes: int, options: list[str]) -> None:
    files.remove_file(part)
    given = [word for option in options for word in ("-o", option)]
    command = ["qemu-img", "create", "-q", "-f", format_name, *given, str(part), str(capacity_bytes)]
    try:
        done = commands.run(command, CREATE_SECONDS)
    except commands.TooSlowError as error:
        raise DomainUnusableError(
            f"A disk in {str(part.parent)!r} could not be preallocated: {error}"
        ) from error
    if done.status != 0 and os.strerror(errno.ENOSPC) in done.stderr:
        raise NoRoomError(f"There is no room for {capacity_bytes} bytes in {str(part.parent)!r}.")
    if done.status != 0:
        raise DomainUnusableError(f"qemu-img could not make a disk in {str(part.parent)!r}: {done.stderr}")


def _check_room(directory: Path, needed: int) -> None:
    found = space(directory)
    if found["free_bytes"] < needed:
        raise NoRoomError(f"{str(directory)!r} has {found['free_bytes']} bytes free, {needed} are needed.")


def put_file(
    *, work_dir: str, path: str, data: str, attempt_id: str, turn: int, mode: int, owner: PairOrNone
) -> None:
    target = _absolute(path)
    with held(work_dir, attempt_id, turn), _told_as_domain(path):
        _check_marked(target.parent, attempt_id)
        files.write_whole(target, base64.b64decode(data), mode=mode, owner=_pair(owner))


def set_owner(*, work_dir: str, path: str, attempt_id: str, turn: int, mode: int, owner: PairOrNone) -> None:
    target = _absolute(path)
    with held(work_dir, attempt_id, turn), _told_as_domain(path):
        _check_marked(target.parent, attempt_id)
        _own(target, 0, mode, owner)


def clear_marker(*, work_dir: str, path: str, attempt_id: str, turn: int) -> None:
    directory = _absolute(path)
    with held(work_dir, attempt_id, turn), _told_as_domain(path):
        found = read_mark(directory)
        if found is not None and found.attempt_id == attempt_id:
            (directory / MARKER_NAME).unlink()


def mark(*, work_dir: str, path: str, attempt_id: str, turn: int, installation_id: str) -> None:
    directory = _absolute(path)
    with held(work_dir, attempt_id, turn), _told_as_domain(path):
        if not os.path.lexists(directory):
            return
        if not os.path.lexists(directory / MARKER_NAME) and directory.is_dir() and not directory.is_symlink():
            _mark(directory, Mark(attempt_id, installation_id))
            return
        _check_marked(directory, attempt_id)


def _mark(directory: Path, mark: Mark) -> None:
    """With no room for a marker its name says the same: what is marked is to go, and makes room."""
    try:
        put_mark(directory, mark)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        directory.rename(staged(directory, mark.attempt_id))


def remove_tree(*, work_dir: str, path: str, attempt_id: str, turn: int) -> None:
    directory = _absolute(path)
    with held(work_dir, attempt_id, turn), _told_as_domain(path):
        if os.path.lexists(directory) and directory != staged(directory, attempt_id):
            _check_marked(directory, attempt_id)
        remove_marked(directory, attempt_id)


def probe_dir(*, path: str) -> dict[str, int]:
    directory = _absolute(path)
    with _told_as_domain(path):
        if not directory.is_dir():
            raise DomainUnusableError(f"{path!r} is no directory on the proxy host.")
        probe = directory / f".v2v-import-probe-{os.getpid()}"
        data = os.urandom(PROBE_BYTES)
        try:
            files.write_whole(probe, data)
            if probe.read_bytes() != data:
                raise DomainUnusableError(f"{path!r} gives back other bytes than were written.")
        finally:
            files.remove_file(probe)
        return space(directory)


def space(directory: Path) -> dict[str, int]:
    """Free (for this user) and total bytes of the file system."""
    found = os.statvfs(directory)
    return {"free_bytes": found.f_bavail * found.f_frsize, "total_bytes": found.f_blocks * found.f_frsize}


def _absolute(path: str) -> Path:
    if not path.startswith("/") or "\0" in path or ".." in Path(path).parts:
        raise DomainUnusableError(f"{path!r} is no absolute path.")
    return Path(path)


def _check_marked(directory: Path, attempt_id: str) -> None:
    if directory.is_symlink() or not directory.is_dir():
        raise DomainUnusableError(f"{str(directory)!r} is no directory.")
    found = read_mark(directory)
    if found is None or found.attempt_id != attempt_id:
        raise DomainUnusableError(f"{str(directory)!r} was not made by this attempt.")


def _own(path: Path, flags: int, mode: int, owner: PairOrNone) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | flags)
    try:
        files.own(fd, mode, _pair(owner))
    finally:
        os.close(fd)


def _pair(owner: PairOrNone) -> files.Owner:
    return None if owner is None else (owner[0], owner[1])


@contextmanager
def _told_as_domain(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise of_system(error, DomainUnusableError, f"{path!r} can't be used") from error
