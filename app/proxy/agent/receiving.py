"""Takes the bytes of an upload from standard input, one writer at a time."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import signal
from contextlib import contextmanager
from typing import BinaryIO, Callable, Iterator

from app.proxy.agent import files
from app.proxy.agent.fences import lock_now
from app.proxy.agent.refusals import (
    RefusedError,
    UploadChecksumError,
    UploadLockedError,
    UploadLostError,
    UploadOffsetError,
    UploadTooLongError,
    of_system,
)
from app.proxy.agent.uploads import UploadPlace, proven, told_of

CHUNK_BYTES = 1 << 18
FLUSH_BYTES = 64 << 20
"""So much is written before it is flushed to the disk: the flush at the end is then a short one."""
SILENCE_SECONDS = 45
"""A writer that sends nothing for so long is gone, whatever the connection says; the next one may come."""


class Chunk:
    """One request's bytes, written from where the file ends; dropped as a whole when they turn out wrong."""

    def __init__(self, place: UploadPlace, fd: int, most_bytes: int) -> None:
        self.place, self.fd = place, fd
        self.start = self.end = os.fstat(fd).st_size
        self.most_bytes = most_bytes
        self._flushed = self.start

    def write(self, data: bytes) -> None:
        """Raises UploadTooLongError, NoRoomError (what fitted stays)."""
        if self.end + len(data) > self.most_bytes:
            self.drop()
            raise UploadTooLongError(f"More came than the {self.most_bytes} bytes that were announced.")
        view = memoryview(data)
        while view:
            view = view[os.pwrite(self.fd, view, self.end + len(data) - len(view)) :]
        self.end += len(data)
        if self.end - self._flushed >= FLUSH_BYTES:
            os.fdatasync(self.fd)
            self._flushed = self.end

    def drop(self) -> None:
        os.ftruncate(self.fd, self.start)
        self.end = self.start


def receive(request: dict[str, str], source: BinaryIO, begin: Callable[[object], None]) -> dict[str, int]:
    """The offset after all that comes; `begin` is told the offset before the first byte is asked for."""
    place = UploadPlace(request["work_dir"], request["upload_id"])
    wanted = base64.b64decode(request["digest"])
    digest = hashlib.new(request["algorithm"]) if wanted else None
    with _writing(place, int(request["offset_bytes"])) as chunk:
        if digest is not None:
            files.write_whole(place.unproven, str(chunk.start).encode())
        begin({"offset_bytes": chunk.start})
        for data in _pieces(source):
            chunk.write(data)
            if digest is not None:
                digest.update(data)
        if digest is not None and digest.digest() != wanted:
            chunk.drop()
            files.remove_file(place.unproven)
            raise UploadChecksumError("What arrived is not what the checksum says; it was discarded.")
        os.fdatasync(chunk.fd)
        files.remove_file(place.unproven)
        return {"offset_bytes": chunk.end}


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    while True:
        signal.alarm(SILENCE_SECONDS)
        data = os.read(source.fileno(), CHUNK_BYTES)
        signal.alarm(0)
        if not data:
            return
        yield data


@contextmanager
def _writing(place: UploadPlace, offset_bytes: int) -> Iterator[Chunk]:
    """Hold the file alone. Raises UploadLostError, UploadLockedError, UploadOffsetError."""
    told = told_of(place)
    try:
        fd = os.open(place.data, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise UploadLostError("The upload was removed.") from error
    try:
        if not lock_now(fd, fcntl.LOCK_EX):
            raise UploadLockedError("Somebody else is sending to this upload.")
        _forget_unproven(place, fd)
        chunk = Chunk(place, fd, told.length_bytes)
        if chunk.start != offset_bytes:
            raise UploadOffsetError(f"The upload is at {chunk.start}, not at {offset_bytes}.")
        yield chunk
        if not os.fstat(fd).st_nlink:
            raise UploadLostError("The upload was removed meanwhile.")
    except OSError as error:
        raise of_system(error, RefusedError, "The upload can't be written") from error
    finally:
        os.close(fd)


def _forget_unproven(place: UploadPlace, fd: int) -> None:
    """What a writer left that ended before its checksum could be compared."""
    size = os.fstat(fd).st_size
    if proven(place, size) != size:
        os.ftruncate(fd, proven(place, size))
    files.remove_file(place.unproven)
