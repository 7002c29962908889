"""Makes the disks of an OVA ready in the attempt's directory.

It runs where virt-v2v is to run: in the job, which may take its time and can be ended. Each disk becomes a
QCOW2 image that holds nothing and stands on what there is: on the bytes of a plain tar in which the disk
lies, or on the disk unpacked. What has a checksum is read whole and compared; what is unpacked, meanwhile.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

from app.proxy.agent import commands
from app.proxy.agent.headers import SECTOR, read_header
from app.proxy.agent.looking import Opened, opened
from app.proxy.agent.refusals import InvalidSourceError, UnsafeImageError
from app.proxy.agent.tars import (
    GZIP,
    Archive,
    archive_at,
    checked_name,
    lone_header,
    member_of,
    open_tar,
    stream_of,
    told_as_broken,
)
from app.proxy.agent.telling import STAGE, Told

ALGORITHMS = {"sha1", "sha224", "sha256", "sha384", "sha512"}
CHUNK_BYTES = 1 << 20
CREATE_SECONDS = 60.0
LINK = "ova"
"""A link to the archive: its own path may be longer than what a QCOW2 can keep."""


class Disk(NamedTuple):
    """What is to be done with one disk; `file` is a member of the archive, or an absolute path.

    `file` is compared with `checksum` (`sha256:…`) where there is one. `image` is what the service calls the
    result; without one the disk is only compared. Unpacked it has at most `limit_bytes`.
    """

    file: str
    format: str
    checksum: str | None
    compression: str | None
    limit_bytes: int
    image: str | None


class Order(NamedTuple):
    """`path` is the archive, or the folder that one was unpacked to."""

    path: str
    roots: list[str]
    disks: list[Disk]


def order_of(given: dict[str, Any]) -> Order:
    return Order(given["path"], given["roots"], [Disk(**disk) for disk in given["disks"]])


def make_ready(order: Order, directory: Path, told: Told) -> None:
    """Raises RefusedError."""
    with opened(order.path, order.roots) as found:
        if found.kind == "directory":
            _from_folder(order, directory, told)
        elif os.pread(found.fd, len(GZIP), 0) == GZIP:
            _from_compressed(found, order, directory, told)
        else:
            _from_tar(order, directory, told)


def _from_folder(order: Order, directory: Path, told: Told) -> None:
    for disk in order.disks:
        with opened(disk.file, order.roots) as found, os.fdopen(os.dup(found.fd), "rb") as stream:
            _take(stream, disk, directory, told, unpack=disk.image is not None)


def _from_compressed(found: Opened, order: Order, directory: Path, told: Told) -> None:
    """One pass over the archive: it can only be read from its beginning."""
    wanted = {disk.file: disk for disk in order.disks}
    file = os.fdopen(os.dup(found.fd), "rb")
    with told_as_broken(found), file, open_tar(found, file, "r|gz") as tar:
        while wanted:
            member = tar.next()
            if member is None:
                break
            disk = None if member.isdir() else wanted.pop(checked_name(member), None)
            if disk is not None:
                _take(stream_of(tar, member), disk, directory, told, unpack=disk.image is not None)
    if wanted:
        raise InvalidSourceError(f"it lacks {', '.join(map(repr, sorted(wanted)))}.")


def _from_tar(order: Order, directory: Path, told: Told) -> None:
    with archive_at(order.path, order.roots) as archive:
        (directory / LINK).symlink_to(archive.file.path)
        for disk in order.disks:
            member = member_of(archive, disk.file)
            if disk.compression or disk.checksum:
                with told_as_broken(archive.file):
                    stream = stream_of(archive.tar, member)
                    _take(stream, disk, directory, told, unpack=disk.compression is not None)
            if disk.image and not disk.compression:
                _stand_on_bytes(archive, member, disk, directory)


def _take(stream: IO[bytes], disk: Disk, directory: Path, told: Told, *, unpack: bool) -> None:
    """Unpack the disk if that is wanted, and compare its checksum if there is one."""
    hashed = _Hashed(stream, disk.checksum)
    if unpack:
        told.say(STAGE, f"Unpacking {disk.file!r}")
        _unpack(hashed, disk, directory)
    elif disk.checksum:
        told.say(STAGE, f"Checking the checksum of {disk.file!r}")
    hashed.compare(disk.file)


class _Hashed:
    """A stream whose bytes are counted into a checksum as they are read; without one nothing is."""

    def __init__(self, stream: IO[bytes], checksum: str | None) -> None:
        self._stream = stream
        algorithm, _, self._expected = (checksum or "").partition(":")
        if checksum is not None and algorithm not in ALGORITHMS:
            raise InvalidSourceError(f"the checksum {algorithm!r} is unknown.")
        self._hash = hashlib.new(algorithm) if checksum is not None else None

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if self._hash is not None:
            self._hash.update(data)
        return data

    def compare(self, name: str) -> None:
        """Reads what is left. Raises InvalidSourceError when the checksum is another."""
        if self._hash is None:
            return
        while self.read(CHUNK_BYTES):
            pass
        if self._hash.hexdigest() != self._expected.lower():
            raise InvalidSourceError(
                f"corrupt OVA: checksum of disk {name!r} does not match manifest "
                f"(actual = {self._hash.hexdigest()}, expected = {self._expected})"
            )


def _unpack(hashed: _Hashed, disk: Disk, directory: Path) -> None:
    path = directory / f"{disk.image}.unpacked"
    with path.open("wb") as target:
        if disk.compression:
            with gzip.GzipFile(fileobj=hashed, mode="rb") as plain:  # type: ignore[call-overload]  # it only reads
                _copy(plain, target, disk)
        else:
            _copy(hashed, target, disk)
    _check_header(path, disk)
    _stand_on(str(path), disk, directory)


def _copy(source: IO[bytes] | _Hashed, target: IO[bytes], disk: Disk) -> None:
    left = disk.limit_bytes
    try:
        for data in iter(lambda: source.read(CHUNK_BYTES), b""):
            left -= len(data)
            if left < 0:
                raise InvalidSourceError(
                    f"{disk.file!r} unpacks to more than {disk.limit_bytes} bytes, "
                    "which is more than its disk can have."
                )
            target.write(data)
    except (EOFError, zlib.error) as error:
        raise InvalidSourceError(f"{disk.file!r} can't be unpacked: {error}.") from error


def _check_header(path: Path, disk: Disk) -> None:
    """It is what its beginning said: the format is what qemu opens it by."""
    with path.open("rb") as file:
        size = path.stat().st_size
        header = read_header(
            lambda offset, length: os.pread(file.fileno(), length, offset), size, disk.format
        )
    if header.references:
        raise UnsafeImageError(f"{disk.file!r} refers to {header.references[0].name!r}, outside the archive.")


def _stand_on_bytes(archive: Archive, member: tarfile.TarInfo, disk: Disk, directory: Path) -> None:
    def read(offset: int, size: int) -> bytes:
        return os.pread(archive.file.fd, max(0, min(size, member.size - offset)), member.offset_data + offset)

    if lone_header(disk.file, read, member.size).format != disk.format:
        raise InvalidSourceError(f"{disk.file!r} is no {disk.format} any more.")
    part = {
        "driver": "raw",
        "offset": member.offset_data,
        "size": -(-member.size // SECTOR) * SECTOR,
        "file": {"driver": "file", "filename": str(directory / LINK)},
    }
    _stand_on("json:" + json.dumps({"driver": disk.format, "file": part}), disk, directory)


def _stand_on(backing: str, disk: Disk, directory: Path) -> None:
    image = str(directory / str(disk.image))
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", disk.format, "-b", backing, image]
    done = commands.run(argv, CREATE_SECONDS)
    if done.status != 0:
        raise InvalidSourceError(f"{disk.file!r} can't be opened: {done.stderr}")
