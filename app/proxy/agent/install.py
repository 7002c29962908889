"""Puts the agent into the work directory: run with `python3 -c`, the program on standard input.

Its argument is the program's path: WORK_DIR/agent/NAME. It stands alone, and an old Python must be able to
read it to its end, for it tells the user what is missing.
"""

import json
import os
import sys
from pathlib import Path

LONGEST_WORK_DIR = 40
OLDEST_PYTHON = (3, 7)
UNUSABLE = "work_dir_unusable"


def install(path: Path) -> str:
    if sys.version_info < OLDEST_PYTHON:
        return _refused("python_missing", f"python3 on the host is Python {sys.version.split()[0]}.")
    work_dir = path.parent.parent
    if not path.is_absolute() or len(os.fsencode(str(work_dir))) > LONGEST_WORK_DIR:
        return _refused(
            UNUSABLE, f"{str(work_dir)!r} is no absolute path of at most {LONGEST_WORK_DIR} bytes."
        )
    try:
        for directory, forbidden in ((work_dir, 0o002), (path.parent, 0o022)):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_private(directory, forbidden):
                return _refused(UNUSABLE, f"Others may write in {str(directory)!r}.")
        _write(path, sys.stdin.buffer.read())
    except OSError as error:
        return _refused(UNUSABLE, f"{str(work_dir)!r} can't be made or used: {error}.")
    return json.dumps({"result": None})


def _is_private(directory: Path, forbidden: int) -> bool:
    """Who could write here could make us run what they like. With sudo, the user who logged in may own it."""
    found = directory.stat()
    trusted = {0, os.geteuid(), int(os.environ.get("SUDO_UID", "0"))}
    return found.st_uid in trusted and not found.st_mode & forbidden


def _write(path: Path, program: bytes) -> None:
    """Whole or not at all, also when two services do it at once."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with part.open("wb") as file:
        file.write(program)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def _refused(code: str, detail: str) -> str:
    return json.dumps({"code": code, "detail": detail})


sys.stdout.write(install(Path(sys.argv[1])))
