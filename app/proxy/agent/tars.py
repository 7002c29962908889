"""Reads tar archives (OVAs): regular files only, and nothing is extracted."""

from __future__ import annotations

import base64
import io
import json
import os
import posixpath
import tarfile
import time
import zlib
from contextlib import contextmanager
from typing import IO, Iterator, NamedTuple

from app.proxy.agent.headers import SECTOR, Header, Read, read_header
from app.proxy.agent.images import describe, query
from app.proxy.agent.looking import Opened, is_text, opened
from app.proxy.agent.refusals import (
    InvalidSourceError,
    SourceNotFoundError,
    SourceTruncatedError,
    UnsafeArchiveError,
    UnsafeImageError,
)

MOST_MEMBERS = 10_000
READ_SECONDS = 90.0
"""A compressed archive can only be read from its beginning; a longer one must be unpacked first."""
HEAD_BYTES = 2 << 20
"""As much of a stream as an image's header, with a VMDK's descriptor, may take."""
GZIP = b"\x1f\x8b"


class Archive(NamedTuple):
    """An open tar, its members listed and found harmless."""

    file: Opened
    tar: tarfile.TarFile
    members: dict[str, tarfile.TarInfo]
    compressed: bool


def tar_list(*, path: str, roots: list[str]) -> dict[str, object]:
    with archive_at(path, roots) as archive:
        members = [
            {"name": name, "size_bytes": member.size, "offset": member.offset_data}
            for name, member in archive.members.items()
        ]
        return {"members": members, "compressed": archive.compressed}


def tar_read(*, path: str, member: str, roots: list[str], limit_bytes: int) -> dict[str, str]:
    with archive_at(path, roots) as archive:
        found = member_of(archive, member)
        if found.size > limit_bytes:
            raise InvalidSourceError(f"{member!r} in {path!r} is longer than {limit_bytes} bytes.")
        return {"data": base64.b64encode(_head(archive, found, found.size)).decode()}


def tar_image_info(*, path: str, member: str, roots: list[str]) -> dict[str, object]:
    with archive_at(path, roots) as archive:
        found = member_of(archive, member)
        head = _head(archive, found, HEAD_BYTES)
        if head.startswith(GZIP):
            return _gzipped_image(member, head, found.size)
        if archive.compressed:
            return _from_beginning(member, head, found.size)
        return _image_at(archive.file, found, member)


def _image_at(file: Opened, member: tarfile.TarInfo, name: str) -> dict[str, object]:
    """Let qemu-img open the bytes of the archive in which the member lies."""

    def read(offset: int, size: int) -> bytes:
        return os.pread(file.fd, max(0, min(size, member.size - offset)), member.offset_data + offset)

    format_name = lone_header(name, read, member.size).format
    padded = -(-member.size // SECTOR) * SECTOR
    layer = {
        "driver": "raw",
        "offset": member.offset_data,
        "size": padded,
        "file": {"driver": "file", "filename": str(file.path)},
    }
    info = query(["json:" + json.dumps({"driver": format_name, "file": layer})])
    return {**describe(name, format_name, info), "actual_bytes": member.size}


def gzip_image_info(*, path: str, roots: list[str]) -> dict[str, object]:
    with opened(path, roots) as found:
        head = os.pread(found.fd, HEAD_BYTES, 0) if found.kind == "file" else b""
        if not head.startswith(GZIP):
            raise InvalidSourceError(f"{path!r} is not compressed with gzip, as its description says.")
        return _gzipped_image(str(found.path), head, found.size_bytes)


def _gzipped_image(name: str, head: bytes, stored_bytes: int) -> dict[str, object]:
    """An image compressed by itself, from the first bytes of what is stored."""
    return {**_from_beginning(name, _unzipped(head), stored_bytes), "compression": "gzip"}


def _from_beginning(member: str, head: bytes, stored_bytes: int) -> dict[str, object]:
    """What a stream's first bytes tell: enough for the formats that say their size there."""
    header = lone_header(member, lambda offset, size: head[offset : offset + size], len(head))
    if header.format == "raw" or header.virtual_bytes is None:
        raise InvalidSourceError(
            f"{member!r} is compressed, and the size of a {header.format} image isn't in its first bytes. "
            "Unpack it and import the folder."
        )
    return {
        "path": member,
        "format": header.format,
        "virtual_bytes": header.virtual_bytes,
        "actual_bytes": stored_bytes,
    }


def lone_header(member: str, read: Read, size_bytes: int) -> Header:
    """The header of an image that has no directory: it may refer to nothing."""
    header = read_header(read, size_bytes, None)
    if header.references:
        raise UnsafeImageError(f"{member!r} refers to {header.references[0].name!r}, outside the archive.")
    return header


def _unzipped(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error as error:
        raise InvalidSourceError(f"A compressed image can't be read: {error}.") from error


def _head(archive: Archive, member: tarfile.TarInfo, limit_bytes: int) -> bytes:
    with told_as_broken(archive.file):
        return stream_of(archive.tar, member).read(limit_bytes)


def stream_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """The bytes of a regular file in the archive."""
    return tar.extractfile(member) or io.BytesIO()


def member_of(archive: Archive, name: str) -> tarfile.TarInfo:
    """Raises SourceNotFoundError."""
    found = archive.members.get(posixpath.normpath(name))
    if found is None:
        raise SourceNotFoundError(f"{str(archive.file.path)!r} has no member {name!r}.")
    return found


@contextmanager
def archive_at(path: str, roots: list[str]) -> Iterator[Archive]:
    """Raises InvalidSourceError, and as `opened` does."""
    with opened(path, roots) as found:
        if found.kind != "file":
            raise InvalidSourceError(f"{path!r} is no file.")
        compressed = os.pread(found.fd, 2, 0) == GZIP
        mode = "r:gz" if compressed else "r:"
        with os.fdopen(os.dup(found.fd), "rb") as file, open_tar(found, file, mode) as tar:
            yield Archive(found, tar, _list(found, tar, compressed=compressed), compressed)


def open_tar(found: Opened, file: IO[bytes], mode: str) -> tarfile.TarFile:
    """`mode` as for `tarfile.open`. Raises InvalidSourceError."""
    with told_as_broken(found):
        # Whoever asked closes it; `mode` is one that the types know.
        tar: tarfile.TarFile = tarfile.open(fileobj=file, mode=mode, encoding="utf-8")  # type: ignore[call-overload]  # noqa: SIM115
    return tar


def _list(found: Opened, tar: tarfile.TarFile, *, compressed: bool) -> dict[str, tarfile.TarInfo]:
    members: dict[str, tarfile.TarInfo] = {}
    deadline = time.monotonic() + READ_SECONDS
    with told_as_broken(found):
        for count, member in enumerate(tar):
            if count >= MOST_MEMBERS or time.monotonic() > deadline:
                raise InvalidSourceError(f"{str(found.path)!r} is too large to be listed. Unpack it first.")
            if member.isdir():
                continue
            name = checked_name(member)
            if name in members:
                raise UnsafeArchiveError(f"The archive has {name!r} twice.")
            if not compressed and member.offset_data + member.size > found.size_bytes:
                raise SourceTruncatedError(f"The archive ends in the middle of {name!r}.")
            members[name] = member
    return members


def checked_name(member: tarfile.TarInfo) -> str:
    """The member's path within the archive. Raises UnsafeArchiveError for what an OVA never holds."""
    name = posixpath.normpath(member.name)
    if not is_text(member.name) or "\0" in name:
        raise UnsafeArchiveError("The archive has a member whose name is no UTF-8.")
    if name == ".." or name.startswith(("/", "../")):
        raise UnsafeArchiveError(f"The archive's member {member.name!r} lies outside of it.")
    if not member.isreg() or member.issparse():
        raise UnsafeArchiveError(f"The archive's member {member.name!r} is no plain file.")
    return name


@contextmanager
def told_as_broken(found: Opened) -> Iterator[None]:
    """Say the errors of reading an archive in our words."""
    try:
        yield
    except EOFError as error:
        raise SourceTruncatedError(f"{str(found.path)!r} ends too early: {error}.") from error
    except (tarfile.TarError, zlib.error, OSError, ValueError) as error:
        raise InvalidSourceError(f"{str(found.path)!r} is no sound tar or tar.gz: {error}.") from error
