"""Where an attempt's things lie in the work directory."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from app.proxy.agent.refusals import RefusedError, WorkDirUnusableError, of_system

LONGEST_WORK_DIR = 40
"""Bytes: Unix sockets lie below it, and their whole path may have 107."""
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_id(text: str) -> bool:
    """Whether the text is an id as we write it: it may become a file name."""
    return _UUID.fullmatch(text) is not None


class Place:
    """One attempt's paths. `directory` is its own, `tmp` a short one for sockets; `job` has our notes."""

    def __init__(self, work_dir: str, attempt_id: str) -> None:
        """Raises RefusedError for what is no id: it becomes a file name."""
        if not is_id(attempt_id):
            raise RefusedError(f"{attempt_id!r} is no attempt's id.")
        root = Path(work_dir)
        self.attempt_id = attempt_id
        self.directory = root / "attempts" / attempt_id
        # The last group of a UUID (version 7 as well as 4) is random.
        self.tmp = root / "t" / attempt_id[-12:]
        self.cache = root / "cache"
        self.gate = root / "turns" / attempt_id
        self.v2v_tmp = self.directory / "tmp"
        self.job = self.directory / "job"
        self.log = self.job / "log"
        self.alive = self.job / "alive"
        self.launched = self.job / "launched"
        self.stopped = self.job / "stopped"
        self.order = self.job / "order"
        self.mounts = self.job / "mounts"
        self.exit_code = self.job / "exit_code"

    def is_there(self) -> bool:
        return self.job.is_dir()


def prepare(work_dir: str) -> None:
    """Make the work directory and what every attempt shares in it. Raises WorkDirUnusableError."""
    root = Path(work_dir)
    if not root.is_absolute() or len(os.fsencode(work_dir)) > LONGEST_WORK_DIR:
        raise WorkDirUnusableError(f"{work_dir!r} is no absolute path of at most {LONGEST_WORK_DIR} bytes.")
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_private(root, stat.S_IWOTH)
        for name in ("attempts", "t", "cache", "turns", "uploads"):
            (root / name).mkdir(mode=0o700, exist_ok=True)
            _check_private(root / name, stat.S_IWGRP | stat.S_IWOTH)
    except OSError as error:
        raise of_system(error, WorkDirUnusableError, f"{work_dir!r} can't be used") from error


def _check_private(directory: Path, forbidden: int) -> None:
    """Who could write here could make us run what they like."""
    found = directory.stat()
    # With sudo, the user who logged in may own it.
    if found.st_uid not in {0, os.geteuid(), int(os.environ.get("SUDO_UID", "0"))}:
        raise WorkDirUnusableError(f"{str(directory)!r} belongs to another user.")
    if found.st_mode & forbidden:
        raise WorkDirUnusableError(f"Others may write in {str(directory)!r}.")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise WorkDirUnusableError(f"{str(directory)!r} can't be written.")
