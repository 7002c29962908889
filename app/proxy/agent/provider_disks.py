"""Brings the disks of a VM from its host to this one, for as long as the job lives.

One ssh starts a qemu-nbd for each disk there and brings its socket here; here each disk becomes a QCOW2 image
that holds nothing and stands on that. ssh is of the job's processes: when the job ends, ssh does, the program
there sees the end of its input, ends its qemu-nbds and removes its directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import socket
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from app.proxy.agent import commands
from app.proxy.agent.provider_images import PATHS
from app.proxy.agent.refusals import (
    InvalidSourceError,
    ProviderRefusedError,
    ProviderUnreachableError,
    RefusedError,
)
from app.proxy.agent.ssh_login import FAILED, Login, Ssh, refusal, ssh_to
from app.proxy.agent.telling import STAGE, Told

SCRATCH, SAID, CONNECTED = "ssh", "said", "connected"
READY = b"ready\n"
GREETING = b"NBDMAGIC"
CREATE_SECONDS = 60.0
ANSWER_SECONDS = 30.0
NAME_THEIR_BACKING = {"qcow2", "qed"}
SERVE = f"""{PATHS}umask 077
serve() {{
  qemu-nbd --read-only --persistent --shared=16 --socket="$directory/$1" "$2" </dev/null &
  pids="$pids $!"
  until qemu-img info "nbd+unix:///?socket=$directory/$1" >/dev/null 2>&1; do
    [ -e "/proc/$!/exe" ] || exit 1
    sleep 0.1
  done
}}
finish() {{
  kill $pids 2>/dev/null
  wait
  rm -rf -- "$directory"
}}
pids=
"""


class Disk(NamedTuple):
    """The images that make a disk there, its own first; `image` is what the result is called here."""

    images: list[dict[str, str]]
    image: str


class Order(NamedTuple):
    """`secret` is a file in the attempt's directory; `is_running`: the VM may be writing to its disks."""

    login: Login
    secret: str
    disks: list[Disk]
    is_running: bool


def order_of(given: dict[str, Any]) -> Order:
    disks = [Disk(**disk) for disk in given["disks"]]
    return Order(Login(**given["login"]), given["secret"], disks, given["is_running"])


def make_ready(order: Order, directory: Path, told: Told) -> None:
    """Raises RefusedError."""
    told.say(STAGE, f"Connecting to {order.login.host}")
    there = f"/tmp/v2v-import-{secrets.token_hex(16)}"  # noqa: S108  # made there, with a name that none can guess
    sockets = [f"{os.environ['TMPDIR']}/n{number}" for number in range(len(order.disks))]
    more = [word for number, path in enumerate(sockets) for word in ("-L", f"{path}:{there}/{number}")]
    scratch = directory / SCRATCH
    scratch.mkdir(mode=0o700, exist_ok=True)
    ssh = ssh_to(order.login, str(directory / order.secret), scratch, ["-E", SAID, *more])
    _start(ssh, _program(order, there), order.login, told)
    for disk, path in zip(order.disks, sockets):
        _check_answers(path)
        _stand_on(path, directory / disk.image)


def _program(order: Order, there: str) -> bytes:
    lines = [f"directory={there}", 'mkdir -m 700 -- "$directory" || exit 1', "trap finish EXIT"]
    lines += ["trap 'exit 1' HUP INT TERM"]
    for number, disk in enumerate(order.disks):
        opened_as = json.dumps(_opened_as(disk, is_running=order.is_running))
        lines.append(f"serve {number} {shlex.quote('json:' + opened_as)}")
    # Its end is ours: whatever ends us closes that.
    lines += ["echo ready", "cat >/dev/null"]
    return (SERVE + "\n".join(lines) + "\n").encode()


def _opened_as(disk: Disk, *, is_running: bool) -> dict[str, Any]:
    """All formats pinned, and nothing below but what was looked at."""
    below: dict[str, Any] | None = None
    for image in reversed(disk.images):
        opened: dict[str, Any] = {"driver": image["format"], "file": {"filename": image["path"]}}
        below = {**opened, "backing": below} if image["format"] in NAME_THEIR_BACKING else opened
    return {**(below or {}), **({"force-share": True} if is_running else {})}


def _start(ssh: Ssh, program: bytes, login: Login, told: Told) -> None:
    """It goes on running when this returns, watched by a process of its own."""
    input_end, program_end = os.pipe()
    answer_end, output_end = os.pipe()
    watcher = os.fork()
    if watcher == 0:
        os.close(program_end)
        os.close(answer_end)
        _watch(ssh, input_end, output_end, told)
    os.close(input_end)
    os.close(output_end)
    # Who becomes of us keeps it open, and so ssh's input, until it is gone itself.
    os.set_inheritable(program_end, True)
    with contextlib.suppress(BrokenPipeError):
        _write_all(program_end, program)
    with os.fdopen(answer_end, "rb") as answers:
        answer = answers.readline()
    if answer != READY:
        os.close(program_end)
        raise _refusal(ssh, os.waitpid(watcher, 0)[1] >> 8, login)
    (ssh.directory / CONNECTED).touch()


def _watch(ssh: Ssh, input_end: int, output_end: int, told: Told) -> None:
    """The watcher's life; it never returns. Whoever reads in vain shall find the reason in the log."""
    status = FAILED
    try:
        process = subprocess.Popen(
            ssh.argv, stdin=input_end, stdout=output_end, env=ssh.environment, cwd=str(ssh.directory)
        )
        os.close(input_end)
        os.close(output_end)
        status = process.wait()
        if status == FAILED and (ssh.directory / CONNECTED).exists():
            told.say("error", f"the connection to the VM's host was closed by remote host: {_said(ssh)}")
    finally:
        os._exit(status & 0xFF)


def _refusal(ssh: Ssh, status: int, login: Login) -> RefusedError:
    if status == FAILED:
        return refusal(login, status, _said(ssh))
    return ProviderRefusedError(f"{login.host} can't serve the disks; it said why above.")


def _said(ssh: Ssh) -> str:
    """What ssh itself has to say."""
    path = ssh.directory / SAID
    return path.read_text(errors="replace").strip() if path.exists() else ""


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _check_answers(path: str) -> None:
    """Whether the way goes through to a server. Raises RefusedError."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWER_SECONDS)
        try:
            client.connect(path)
            greeting = client.recv(len(GREETING))
        except OSError as error:
            raise ProviderUnreachableError(f"The disk's socket does not answer: {error}.") from error
    if greeting != GREETING:
        raise RefusedError(
            "The VM's host forwards no sockets: set AllowStreamLocalForwarding and AllowTcpForwarding there."
        )


def _stand_on(path: str, image: Path) -> None:
    server = {"type": "unix", "path": path}
    below = {"driver": "raw", "file": {"driver": "nbd", "server": server}}
    argv = [
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        f"json:{json.dumps(below)}",
        str(image),
    ]
    done = commands.run(argv, CREATE_SECONDS)
    if done.status != 0:
        raise InvalidSourceError(f"A disk can't be opened: {done.stderr}")
