"""An attempt's directories and files on the host, and how its virt-v2v is."""

from __future__ import annotations

import base64
import fcntl
import json
import os

from app.proxy.agent import files, processes
from app.proxy.agent.fences import forget_old, held, lock_now
from app.proxy.agent.marks import Mark, make_marked, remove_marked
from app.proxy.agent.places import Place
from app.proxy.agent.refusals import RefusedError, WorkDirUnusableError, of_system

ABSENT, CREATED, RUNNING, EXITED, LOST = "absent", "created", "running", "exited", "lost"
_OWN_NAMES = {"job", "tmp"}


def create_attempt(*, work_dir: str, attempt_id: str, turn: int, installation_id: str) -> dict[str, str]:
    with held(work_dir, attempt_id, turn) as place:
        try:
            for directory in (place.directory, place.tmp):
                if not directory.exists():
                    make_marked(directory, Mark(attempt_id, installation_id))
            # `job` comes last: without it the attempt isn't there.
            for directory in (place.v2v_tmp, place.job):
                directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise of_system(error, WorkDirUnusableError, "The attempt's directories can't be made") from error
        forget_old(work_dir)
    return {"directory": str(place.directory), "tmp": str(place.tmp), "cache": str(place.cache)}


def write(*, work_dir: str, attempt_id: str, turn: int, name: str, data: str, mode: int) -> None:
    if not is_file_name(name):
        raise RefusedError(f"{name!r} is no plain file name.")
    with held(work_dir, attempt_id, turn) as place:
        if not place.is_there():
            raise RefusedError("The attempt is not on this host.")
        files.write_whole(place.directory / name, base64.b64decode(data), mode=mode)


def is_file_name(name: str) -> bool:
    """Whether the service may write a file of this name into an attempt's directory."""
    return bool(name) and not set(name) & {"/", "\0"} and not name.startswith(".") and name not in _OWN_NAMES


def status(*, work_dir: str, attempt_id: str) -> dict[str, object]:
    return status_of(Place(work_dir, attempt_id))


def status_of(place: Place) -> dict[str, object]:
    """The attempt's JobStatus. What ended it was written before its lock was let go."""
    state = _state(place)
    return {
        "state": state,
        "exit_code": _exit_code(place) if state == EXITED else None,
        "log_bytes": place.log.stat().st_size if place.log.exists() else 0,
        "stopped": place.stopped.exists(),
    }


def _exit_code(place: Place) -> int | None:
    """None when the note can't be read: how it ended is unknown then."""
    try:
        return int(place.exit_code.read_text())
    except (OSError, ValueError):
        return None


def _state(place: Place) -> str:
    if not place.is_there():
        return RUNNING if processes.marked(place) else ABSENT
    if not place.launched.exists():
        return CREATED
    if is_held(place):
        return RUNNING
    # Without one, the supervisor was killed. What closed the lock's descriptor may live on, but nobody is
    # left to say how virt-v2v ended.
    return EXITED if place.exit_code.exists() else LOST


def is_held(place: Place) -> bool:
    """Whether the supervisor, or something that virt-v2v started, holds the attempt's lock."""
    try:
        fd = os.open(place.alive, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look at the same time don't take each other for the job.
        return not lock_now(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def remove_secrets(place: Place) -> None:
    """Remove the files that `launch` named as secret."""
    for name in _secret_files(place):
        files.remove_file(place.directory / name)


def _secret_files(place: Place) -> list[str]:
    if not place.launched.exists():
        return []
    try:
        names = [str(name) for name in json.loads(place.launched.read_text())["secret_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        # Which of them are secret is unknown: no file that was written for the job stays.
        names = [entry.name for entry in place.directory.iterdir() if entry.is_file()]
    return [name for name in names if is_file_name(name)]


def remove_attempt(*, work_dir: str, attempt_id: str, turn: int) -> None:
    with held(work_dir, attempt_id, turn) as place:
        if is_held(place) or processes.marked(place):
            raise RefusedError("The attempt's virt-v2v is still running.")
        for directory in (place.tmp, place.directory):
            remove_marked(directory, attempt_id)
