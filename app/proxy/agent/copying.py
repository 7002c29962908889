"""Copies a VM's disks with qemu-img, one after the other, and writes the VM's metadata beside them.

It runs where virt-v2v would: in the job, and what it says is what virt-v2v would say. What was looked at when
the import began may be another image by now, so each is looked at again before qemu opens it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import deque
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from app.proxy.agent import files
from app.proxy.agent.images import Chain, ImageFile, safe_images
from app.proxy.agent.looking import opened
from app.proxy.agent.refusals import InvalidSourceError, RefusedError, UnsafeImageError
from app.proxy.agent.telling import STAGE, Told

METADATA_MODE = 0o644
NAME_THEIR_BACKING = {"qcow2", "qcow", "qed"}
SOUND = {0, 3, 63}
"""How `qemu-img check` ends for a sound image, one that only wastes room, and a format without checks."""


class Disk(NamedTuple):
    """`argv` copies the disk; it opens `images`, the disk's own first, and no other file of the source.

    `images` is empty for a disk that is no file of the source: what was made ready for us, or comes over NBD.
    `target` is the file that is written, none in a rehearsal.
    """

    argv: list[str]
    images: Chain
    target: str | None


class Order(NamedTuple):
    """`files` are texts by their paths, written when all disks are copied."""

    roots: list[str]
    disks: list[Disk]
    files: dict[str, str]


def copy(words: list[str]) -> None:
    """Carry out the order in the file that the first word names."""
    told = Told(words)
    signal.signal(signal.SIGTERM, _end)
    try:
        _carry_out(_order(Path(words[0])), told)
    except (RefusedError, OSError) as error:
        told.say("error", str(error))
        # At once: while Python ends it no longer hears of signals, and one would be our exit code.
        os._exit(1)


def _end(_: int, __: FrameType | None) -> None:
    """qemu-img is told to end by whoever told us; a part of a disk is removed with its directory."""
    os.write(1, b"virt-v2v: Exiting on signal SIGTERM\n")
    os._exit(1)


def _order(path: Path) -> Order:
    given = json.loads(path.read_text(encoding="utf-8"))
    disks = [
        Disk(disk["argv"], tuple(ImageFile(**image) for image in disk["images"]), disk["target"])
        for disk in given["disks"]
    ]
    return Order(given["roots"], disks, given["files"])


def _carry_out(order: Order, told: Told) -> None:
    told.say(STAGE, "Opening the source")
    for disk in order.disks:
        _check(disk, order.roots)
    told.say(STAGE, "Checking the disk images")
    for number, disk in enumerate(order.disks, start=1):
        _check_sound(disk, number)
    for number, disk in enumerate(order.disks, start=1):
        told.say(STAGE, f"Copying disk {number}/{len(order.disks)}")
        _check(disk, order.roots)
        _copy(disk, number)
    told.say(STAGE, "Creating output metadata")
    for path, text in order.files.items():
        files.write_whole(Path(path), text.encode(), mode=METADATA_MODE)
    told.say(STAGE, "Finishing off")


def _check(disk: Disk, roots: list[str]) -> None:
    """What qemu would open is what was looked at. Raises RefusedError."""
    if not disk.images:
        return
    image, *chain = disk.images
    changed = f"{image.path!r} has become another image since the import began"
    try:
        with opened(image.path, roots) as found:
            images = safe_images(found, image.format, roots, [file.path for file in chain])
    except (InvalidSourceError, UnsafeImageError) as error:
        raise UnsafeImageError(f"{changed}: {error}") from error
    if images != disk.images:
        raise UnsafeImageError(f"{changed}.")


def _check_sound(disk: Disk, number: int) -> None:
    """Where a file was cut off, qemu would read zeros without a word. Raises RefusedError."""
    for image in disk.images:
        if image.format == "raw":
            continue
        argv = ["qemu-img", "check", "-q", "-U", f"json:{json.dumps(_alone(image))}"]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as check:
            # It may have a line to say about each cluster.
            last = b"".join(deque(check.stderr or (), maxlen=1))
        _check_ended(check.returncode, f"Checking disk {number}")
        if check.returncode not in SOUND:
            told = last.decode(errors="replace").strip()
            raise InvalidSourceError(
                f"Disk {number}: the image is corrupt or cut off: {image.path!r}: {told}"
            )


def _alone(image: ImageFile) -> dict[str, object]:
    opened_as: dict[str, object] = {"driver": image.format, "file": {"filename": image.path}}
    return {**opened_as, "backing": None} if image.format in NAME_THEIR_BACKING else opened_as


def _check_ended(status: int, what: str) -> None:
    """Raises RefusedError when somebody has ended it."""
    if status < 0:
        raise RefusedError(f"{what}: qemu-img: Exiting on signal {signal.Signals(-status).name}")


def _copy(disk: Disk, number: int) -> None:
    """Raises RefusedError; qemu-img's own words are in the log."""
    status = subprocess.call(disk.argv, stdin=subprocess.DEVNULL)
    _check_ended(status, f"Copying disk {number}")
    if status > 0:
        raise InvalidSourceError(f"Copying disk {number}: qemu-img ended with exit code {status}.")
    if disk.target is not None:
        _flush(Path(disk.target))


def _flush(path: Path) -> None:
    """A disk that is full, or a server that is gone, may be noticed only now."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
