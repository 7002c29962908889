"""Builds the order to copy a VM's disks without converting the guest: a `qemu-img convert` for each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from app.errors import InvalidSourceError
from app.models.vm import SourceDisk
from app.v2v.command import MACHINE_READABLE, Command, V2vInput

ORDER_NAME: Final = "copy.json"
VERB: Final = "copy"
"""Of the host's agent (app/proxy/agent/copying.py)."""
NBD_SCHEME: Final = "nbd+unix"
NAME_THEIR_BACKING: Final = frozenset({"qcow2", "qcow", "qed"})
"""Formats in whose header the image below is named; it is told to qemu anew, whatever is written there."""
AND: Final = "&&"


@dataclass(frozen=True)
class CopyTarget:
    """Where a disk's copy goes. Without a path it is read, and kept nowhere.

    `is_made`: an empty volume of the right size and format is there already.
    """

    path: str | None
    format: str
    capacity_bytes: int
    is_preallocated: bool = False
    is_made: bool = False


@dataclass(frozen=True)
class CopyOutput:
    """The disks in their order, and the metadata to be written beside them: texts by their paths."""

    disks: tuple[CopyTarget, ...]
    files: tuple[tuple[str, str], ...] = ()


def build_copy(source: V2vInput, output: CopyOutput, *, attempt_dir: str) -> Command:
    """Raises InvalidSourceError for a disk that has no place."""
    pairs = list(zip(source.disks, output.disks, strict=True))
    commands = [_argv(_opened_as(disk, attempt_dir), target) for disk, target in pairs]
    order = {
        "disks": [
            {"argv": argv, "images": _images(disk, attempt_dir), "target": target.path}
            for argv, (disk, target) in zip(commands, pairs, strict=True)
        ],
        "files": dict(output.files),
    }
    return Command(
        argv=(VERB, f"{attempt_dir}/{ORDER_NAME}", MACHINE_READABLE),
        masked=tuple(word for number, argv in enumerate(commands) for word in (*_and(number), *argv)),
        # What has to be made ready first may need one to log in.
        files=tuple(file for file in source.files if file.secret),
        environment={},
        preparation=source.preparation,
        copying=order,
    )


def _and(number: int) -> Sequence[str]:
    return (AND,) if number else ()


def _argv(opened_as: dict[str, Any], target: CopyTarget) -> list[str]:
    argv = ["qemu-img", "convert", "-p", "-t", "writeback"]
    source = f"json:{json.dumps(opened_as)}"
    if target.path is None:
        nowhere = f"driver=null-co,size={target.capacity_bytes}"
        return [*argv, "-n", "--target-is-zero", "--target-image-opts", source, nowhere]
    if target.is_made:
        return [*argv, "-n", "--target-is-zero", "-O", target.format, source, target.path]
    allocation = "falloc" if target.is_preallocated else "off"
    return [*argv, "-O", target.format, "-o", f"preallocation={allocation}", source, target.path]


def _opened_as(disk: SourceDisk, attempt_dir: str) -> dict[str, Any]:
    """The disk for qemu, every format pinned: a guest can write into its raw disk what a probe takes for
    another format. Raises InvalidSourceError.
    """
    if disk.path is None:
        raise InvalidSourceError(f"Disk {disk.label!r} is neither a file nor a block device.")
    if _is_nbd(disk.path):
        return {"driver": "raw", "file": _nbd(disk.path)}
    if _is_prepared(disk.path, attempt_dir):
        return {"driver": disk.format, "file": {"filename": disk.path}}
    below: dict[str, Any] | None = None
    for image in reversed(disk.chain):
        below = _image(image.path, image.format, below)
    return _image(disk.path, disk.format or "raw", below)


def _image(path: str, format_name: str, below: dict[str, Any] | None) -> dict[str, Any]:
    # Without a driver qemu looks whether it is a file or a device, and never takes the name for a URL.
    opened = {"driver": format_name, "file": {"filename": path}}
    return {**opened, "backing": below} if format_name in NAME_THEIR_BACKING else opened


def _nbd(uri: str) -> dict[str, Any]:
    parts = urlsplit(uri)
    sockets = parse_qs(parts.query).get("socket", [])
    if len(sockets) != 1:
        raise InvalidSourceError(f"{uri!r} names no socket.")
    server = {"type": "unix", "path": sockets[0]}
    return {"driver": "nbd", "server": server, "export": parts.path.removeprefix("/")}


def _is_nbd(path: str) -> bool:
    return path.startswith(f"{NBD_SCHEME}:")


def _is_prepared(path: str, attempt_dir: str) -> bool:
    """Whether it was made for this attempt (app/proxy/agent/ova_disks.py): it stands on what it says."""
    return path.startswith(f"{attempt_dir}/")


def _images(disk: SourceDisk, attempt_dir: str) -> list[dict[str, str]]:
    """The files of the source that qemu opens; the agent looks at them once more."""
    path = disk.path or ""
    if _is_nbd(path) or _is_prepared(path, attempt_dir):
        return []
    own = {"path": path, "format": disk.format or "raw"}
    return [own, *(image.model_dump() for image in disk.chain)]
