"""Reads tar archives (OVAs): regular files only, and nothing is extracted."""

from __future__ import annotations

import base64
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
from app.proxy.agent.refusals import InvalidSourceError, SourceNotFoundError, UnsafeImageError

MOST_MEMBERS = 10_000
READ_SECONDS = 90.0
"""A compressed archive can only be read from its beginning; a longer one must be unpacked first."""
HEAD_BYTES = 2 << 20
"""As much of a stream as an image's header, with a VMDK's descriptor, may take."""
_GZIP = b"\x1f\x8b"


class Archive(NamedTuple):
    """An open tar, its members listed and found harmless."""

    file: Opened
    tar: tarfile.TarFile
    members: dict[str, tarfile.TarInfo]
    compressed: bool


def tar_list(*, path: str, roots: list[str]) -> dict[str, object]:
    with _archive(path, roots) as archive:
        members = [
            {"name": name, "size_bytes": member.size, "offset": member.offset_data}
            for name, member in archive.members.items()
        ]
        return {"members": members, "compressed": archive.compressed}


def tar_read(*, path: str, member: str, roots: list[str], limit_bytes: int) -> dict[str, str]:
    with _archive(path, roots) as archive:
        found = _member(archive, member)
        if found.size > limit_bytes:
            raise InvalidSourceError(f"{member!r} in {path!r} is longer than {limit_bytes} bytes.")
        return {"data": base64.b64encode(_head(archive, found, found.size)).decode()}


def tar_image_info(*, path: str, member: str, roots: list[str]) -> dict[str, object]:
    with _archive(path, roots) as archive:
        found = _member(archive, member)
        head = _head(archive, found, HEAD_BYTES)
        if head.startswith(_GZIP):
            return _from_beginning(member, _unzipped(head), found.size)
        if archive.compressed:
            return _from_beginning(member, head, found.size)
        return _image_at(archive.file, found, member)


def _image_at(file: Opened, member: tarfile.TarInfo, name: str) -> dict[str, object]:
    """Let qemu-img open the bytes of the archive in which the member lies."""

    def read(offset: int, size: int) -> bytes:
        return os.pread(file.fd, max(0, min(size, member.size - offset)), member.offset_data + offset)

    format_name = _lone_header(name, read, member.size).format
    padded = -(-member.size // SECTOR) * SECTOR
    layer = {
        "driver": "raw",
        "offset": member.offset_data,
        "size": padded,
        "file": {"driver": "file", "filename": str(file.path)},
    }
    info = query(["json:" + json.dumps({"driver": format_name, "file": layer})])
    return {**describe(name, format_name, info), "actual_bytes": member.size}


def _from_beginning(member: str, head: bytes, stored_bytes: int) -> dict[str, object]:
    """What a stream's first bytes tell: enough for the formats that say their size there."""
    header = _lone_header(member, lambda offset, size: head[offset : offset + size], len(head))
    if header.format == "raw" or header.virtual_bytes is None:
        raise InvalidSourceError(
            f"{member!r} is compressed, and the size of a {header.format} image isn't in its first bytes. "
            "Unpack the archive and import the folder."
        )
    return {
        "path": member,
        "format": header.format,
        "virtual_bytes": header.virtual_bytes,
        "actual_bytes": stored_bytes,
    }


def _lone_header(member: str, read: Read, size_bytes: int) -> Header:
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
    with _told_as_broken(archive.file):
        stream = archive.tar.extractfile(member)
        return b"" if stream is None else stream.read(limit_bytes)


def _member(archive: Archive, name: str) -> tarfile.TarInfo:
    found = archive.members.get(posixpath.normpath(name))
    if found is None:
        raise SourceNotFoundError(f"{str(archive.file.path)!r} has no member {name!r}.")
    return found


@contextmanager
def _archive(path: str, roots: list[str]) -> Iterator[Archive]:
    with opened(path, roots) as found:
        if found.kind != "file":
            raise InvalidSourceError(f"{path!r} is no file.")
        compressed = os.pread(found.fd, 2, 0) == _GZIP
        with os.fdopen(os.dup(found.fd), "rb") as file, _open_tar(found, file, compressed=compressed) as tar:
            yield Archive(found, tar, _list(found, tar, compressed=compressed), compressed)


def _open_tar(found: Opened, file: IO[bytes], *, compressed: bool) -> tarfile.TarFile:
    with _told_as_broken(found):
        return tarfile.open(fileobj=file, mode="r:gz" if compressed else "r:", encoding="utf-8")


def _list(found: Opened, tar: tarfile.TarFile, *, compressed: bool) -> dict[str, tarfile.TarInfo]:
    members: dict[str, tarfile.TarInfo] = {}
    deadline = time.monotonic() + READ_SECONDS
    with _told_as_broken(found):
        for count, member in enumerate(tar):
            if count >= MOST_MEMBERS or time.monotonic() > deadline:
                raise InvalidSourceError(f"{str(found.path)!r} is too large to be listed. Unpack it first.")
            if member.isdir():
                continue
            name = _checked_name(member)
            if name in members:
                raise InvalidSourceError(f"The archive has {name!r} twice.")
            if not compressed and member.offset_data + member.size > found.size_bytes:
                raise InvalidSourceError(f"The archive ends in the middle of {name!r}.")
            members[name] = member
    return members


def _checked_name(member: tarfile.TarInfo) -> str:
    name = posixpath.normpath(member.name)
    if not is_text(member.name) or "\0" in name:
        raise InvalidSourceError("The archive has a member whose name is no UTF-8.")
    if name == ".." or name.startswith(("/", "../")):
        raise InvalidSourceError(f"The archive's member {member.name!r} lies outside of it.")
    if not member.isreg() or member.issparse():
        raise InvalidSourceError(f"The archive's member {member.name!r} is no plain file.")
    return name


@contextmanager
def _told_as_broken(found: Opened) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
        raise InvalidSourceError(f"{str(found.path)!r} is no sound tar or tar.gz: {error}.") from error
