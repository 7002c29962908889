"""Starts virt-v2v detached, at most once an attempt, and ends it.

What has to be made ready for virt-v2v first is made by its own process, which then becomes virt-v2v.
The supervisor is a child of the agent in a session of its own. It holds the attempt's lock, which virt-v2v
and what it starts inherit: lock held means alive. It waits for virt-v2v, ends what is left of its children,
removes the secret files, writes the exit code, and lets the lock go.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from app.proxy.agent import files, processes
from app.proxy.agent.attempts import CREATED, RUNNING, is_held, remove_secrets, status_of
from app.proxy.agent.fences import held, lock_now
from app.proxy.agent.marks import read_mark
from app.proxy.agent.places import Place
from app.proxy.agent.refusals import RefusedError, VirtV2vMissingError
from app.proxy.agent.verbs import MOUNTED, PREPARE

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOCALE = "C.UTF-8"
LEFTOVER_GRACE_SECONDS = 5.0
LAST_ACTS_SECONDS = 15.0
"""How long the supervisor may take to write its last notes once virt-v2v is gone."""
NOT_STARTED = 127
_STREAMS = (0, 1, 2)


def launch(
    *,
    work_dir: str,
    attempt_id: str,
    turn: int,
    argv: list[str],
    environment: dict[str, str],
    secret_files: list[str],
    preparation: dict[str, object] | None,
    mounted: list[dict[str, str]],
) -> dict[str, object]:
    with held(work_dir, attempt_id, turn) as place:
        found = status_of(place)
        if found["state"] == CREATED and not found["stopped"]:
            if preparation is not None:
                files.write_whole(place.order, json.dumps(preparation).encode())
            if mounted:
                order = {"work_dir": work_dir, "mounts": mounted}
                files.write_whole(place.mounts, json.dumps(order).encode())
            _start(place, argv, job_environment(place, environment), secret_files)
        return status_of(place)


def base_environment(wanted: dict[str, str]) -> dict[str, str]:
    """What every virt-v2v gets: what was asked for, and a locale in which we can read what it writes."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}".lstrip(":")
    mine = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME") if name in os.environ}
    return {"PATH": path, **mine, **wanted, "LANG": LOCALE, "LC_ALL": LOCALE}


def job_environment(place: Place, wanted: dict[str, str]) -> dict[str, str]:
    """An attempt's virt-v2v gets its own directories too, and the marker by which it is found."""
    shared = {"LIBGUESTFS_CACHEDIR": str(place.cache)}
    own = {"TMPDIR": str(place.tmp), "VIRT_V2V_TMPDIR": str(place.v2v_tmp)}
    mark = {processes.MARKER: place.attempt_id}
    made = read_mark(place.directory)
    if made is not None and made.installation_id is not None:
        mark[processes.INSTALLATION] = made.installation_id
    return {**base_environment({**shared, **wanted}), **own, **mark}


def program_of(name: str, environment: dict[str, str]) -> str:
    """The program's path. Raises VirtV2vMissingError."""
    found = shutil.which(name, path=environment["PATH"])
    if found is None:
        raise VirtV2vMissingError(f"{name!r} is not there or can't be run.")
    return found


def _start(place: Place, argv: list[str], environment: dict[str, str], secret_files: list[str]) -> None:
    program = program_of(argv[0], environment)
    lock = os.open(place.alive, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # One who looks whether the lock is held holds it for a moment.
        if not processes.wait(lambda: lock_now(lock, fcntl.LOCK_EX), seconds=5):
            raise RefusedError("The attempt's lock is held, but nothing was started.")
        note = {"argv0": program, "secret_files": secret_files}
        files.write_whole(place.launched, json.dumps(note).encode())
        if os.fork() == 0:
            _supervise(place, [*_before(place), program, *argv[1:]], environment, lock)
    finally:
        os.close(lock)


def _before(place: Place) -> list[str]:
    """What is put before virt-v2v's command when there is something to be made ready for it."""
    orders = ((MOUNTED, place.mounts), (PREPARE, place.order))
    return [
        word
        for verb, order in orders
        if order.exists()
        for word in (sys.executable, "-I", "-S", sys.argv[0], verb, str(order))
    ]


def _supervise(place: Place, argv: list[str], environment: dict[str, str], lock: int) -> None:
    """The rest of the supervisor's life; it never returns."""
    try:
        _detach(lock)
        code = _run(place, argv, environment, lock)
        processes.end(lambda: processes.marked(place), LEFTOVER_GRACE_SECONDS)
        remove_secrets(place)
        files.write_whole(place.exit_code, str(code).encode())
    finally:
        os._exit(0)


def _detach(lock: int) -> None:
    """Leave the SSH session: its streams, its signals, and every descriptor but the lock."""
    os.setsid()
    os.chdir("/")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A handler, unlike SIG_IGN, isn't inherited by what we start.
        signal.signal(number, lambda *_: None)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in _STREAMS:
        os.dup2(null, stream)
    for fd in {int(entry.name) for entry in Path("/proc/self/fd").iterdir()} - {*_STREAMS, lock}:
        files.close(fd)


def _run(place: Place, argv: list[str], environment: dict[str, str], lock: int) -> int:
    """virt-v2v's exit code; a negative one is the signal that ended it. Both its streams are one log."""
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        job = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=str(place.directory),
            env=environment,
            pass_fds=(lock,),
            start_new_session=True,
        )
    except OSError as error:
        os.write(log, f"virt-v2v: error: {argv[0]} could not be started: {error}\n".encode())
        return NOT_STARTED
    return job.wait()


def stop(*, work_dir: str, attempt_id: str, turn: int, grace_seconds: float) -> dict[str, object]:
    with held(work_dir, attempt_id, turn) as place:
        if place.is_there():
            files.write_whole(place.stopped, b"")
        _end(place, grace_seconds)
        found = status_of(place)
        if processes.marked(place):
            return {**found, "state": RUNNING}
        if found["state"] != RUNNING:
            remove_secrets(place)
        return found


def _end(place: Place, grace_seconds: float) -> None:
    processes.end(lambda: processes.marked(place), grace_seconds)
    processes.resume(processes.holders(place))
    if not processes.wait(lambda: not is_held(place), LAST_ACTS_SECONDS):
        processes.kill(lambda: processes.holders(place))
