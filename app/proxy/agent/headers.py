"""Reads the headers of disk images: format, size, and every other file that they make qemu open.

qemu opens such files by itself, before anybody could ask what they are; so our own look comes first. What is
not surely one of the formats is raw, and nothing opens it as anything else.
"""

from __future__ import annotations

import os
import re
import struct
from typing import Callable, NamedTuple

from app.proxy.agent.refusals import InvalidSourceError, UnsafeImageError

FORMATS = ("raw", "qcow2", "qcow", "vmdk", "vdi", "vhdx", "vpc", "qed")
SECTOR = 512
MOST_NAME_BYTES = 1023
MOST_EXTENSION_BYTES = 65_536
MOST_DESCRIPTOR_BYTES = 1 << 20
MOST_EXTENTS = 1024

_BACKING_FORMAT, _DATA_FILE = 0xE2792ACA, 0x44415441
_HAS_DATA_FILE = 4
_QCOW2_WITH_LENGTH = 3
_EXTENT = re.compile(rb'\w+\s+[+-]?\d+\s+(\w+)\s+"([^"\r\n]+)')
# qemu skips two bytes after the word, whatever they are, and reads up to the next quote.
_PARENT = re.compile(rb'parentFileNameHint..([^"]*)"', re.DOTALL)
_QEMU_DESCRIPTOR_BYTES = 20 * SECTOR

Read = Callable[[int, int], bytes]
"""Bytes of an image: (offset, at most so many)."""


class Reference(NamedTuple):
    """Another file that the image makes qemu open. Without a format qemu would look at its header."""

    name: str
    format: str | None
    is_backing: bool = False
    """Whether it is the image below, and not a part of this one."""


class Header(NamedTuple):
    """What an image says of itself; the size is there where it was easily read."""

    format: str
    virtual_bytes: int | None
    references: tuple[Reference, ...]


def read_header(read: Read, size_bytes: int, wanted: str | None) -> Header:
    """The header, as that of the wanted format; without one the header tells.

    Raises InvalidSourceError when it is no image of that format.
    """
    found = detect(read, size_bytes)
    if wanted == "raw":
        return Header("raw", size_bytes, ())
    if wanted is not None and wanted not in FORMATS:
        raise InvalidSourceError(f"The image format {wanted!r} is not known.")
    if wanted is not None and wanted != found:
        raise InvalidSourceError(f"The image's header is not that of {wanted!r} but of {found!r}.")
    if found == "raw":
        return Header("raw", size_bytes, ())
    try:
        return _READERS[found](read)
    except struct.error as error:
        raise InvalidSourceError(f"The image is called {found!r}, but its header is cut off.") from error


def detect(read: Read, size_bytes: int) -> str:
    """The format that the header shows; raw when it shows none."""
    head = read(0, SECTOR)
    for format_name, offset, magic in _MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return format_name
    if head.lstrip().startswith(b"# Disk DescriptorFile"):
        return "vmdk"
    # A fixed VHD has its header at the end.
    if size_bytes > SECTOR and read(size_bytes - SECTOR, SECTOR)[:8] == b"conectix":
        return "vpc"
    return "raw"


_MAGICS = (
    ("qcow2", 0, b"QFI\xfb\0\0\0\2"),
    ("qcow2", 0, b"QFI\xfb\0\0\0\3"),
    ("qcow", 0, b"QFI\xfb\0\0\0\1"),
    ("vmdk", 0, b"KDMV"),
    ("vmdk", 0, b"COWD"),
    ("vdi", 64, b"\x7f\x10\xda\xbe"),
    ("vhdx", 0, b"vhdxfile"),
    ("vpc", 0, b"conectix"),
    ("qed", 0, b"QED\0"),
)


def _read_qcow2(read: Read) -> Header:
    head = read(0, 104)
    version, backing_offset, backing_size = struct.unpack_from(">IQI", head, 4)
    (virtual_bytes,) = struct.unpack_from(">Q", head, 24)
    incompatible, start = 0, 72
    if version >= _QCOW2_WITH_LENGTH:
        incompatible, (start,) = struct.unpack_from(">Q", head, 72)[0], struct.unpack_from(">I", head, 100)
    extensions = dict(_extensions(read, start))
    references = []
    if backing_offset:
        format_name = extensions.get(_BACKING_FORMAT, b"").decode("latin-1") or None
        references.append(Reference(_name(read, backing_offset, backing_size), format_name, is_backing=True))
    if incompatible & _HAS_DATA_FILE:
        references.append(_data_file(extensions))
    return Header("qcow2", virtual_bytes, tuple(references))


def _extensions(read: Read, offset: int) -> list[tuple[int, bytes]]:
    """The header's extensions. qemu looks for them only in the first cluster; reading on does no harm."""
    found: list[tuple[int, bytes]] = []
    end = offset + MOST_EXTENSION_BYTES
    while offset < end:
        kind, length = struct.unpack(">II", read(offset, 8).ljust(8, b"\0"))
        if not kind:
            break
        found.append((kind, read(offset + 8, min(length, MOST_NAME_BYTES))))
        offset += 8 + (length + 7) // 8 * 8
    return found


def _data_file(extensions: dict[int, bytes]) -> Reference:
    if _DATA_FILE not in extensions:
        raise UnsafeImageError("The image keeps its data in another file and doesn't say which.")
    return Reference(os.fsdecode(extensions[_DATA_FILE]), "raw")


def _name(read: Read, offset: int, size: int) -> str:
    if size > MOST_NAME_BYTES:
        raise InvalidSourceError("The name of the image's backing file is too long.")
    return os.fsdecode(read(offset, size))


def _read_qcow(read: Read) -> Header:
    backing_offset, backing_size = struct.unpack_from(">QI", read(0, 48), 8)
    (virtual_bytes,) = struct.unpack_from(">Q", read(0, 48), 24)
    name = _name(read, backing_offset, backing_size) if backing_offset else None
    backing = () if name is None else (Reference(name, None, is_backing=True),)
    return Header("qcow", virtual_bytes, backing)


def _read_qed(read: Read) -> Header:
    head = read(0, 64)
    (features,) = struct.unpack_from("<Q", head, 16)
    (virtual_bytes,) = struct.unpack_from("<Q", head, 48)
    offset, size = struct.unpack_from("<II", head, 56)
    if not features & 1:
        return Header("qed", virtual_bytes, ())
    format_name = "raw" if features & 4 else None
    backing = Reference(_name(read, offset, size), format_name, is_backing=True)
    return Header("qed", virtual_bytes, (backing,))


def _read_vmdk(read: Read) -> Header:
    head = read(0, SECTOR)
    if head[:4] not in {b"KDMV", b"COWD"}:
        text = read(0, MOST_DESCRIPTOR_BYTES)
        return Header("vmdk", None, (*_extents(text), *_parents(text)))
    # Whatever the header says, qemu looks here for a parent.
    parents = _parents(read(SECTOR, _QEMU_DESCRIPTOR_BYTES))
    if head[:4] == b"COWD":
        return Header("vmdk", struct.unpack_from("<I", head, 12)[0] * SECTOR, parents)
    capacity, _, offset, size = struct.unpack_from("<QQQQ", head, 12)
    text = _embedded(read, offset * SECTOR, size * SECTOR) if offset else b""
    # Only with a capacity of 0 does qemu open the extents that an embedded descriptor names.
    extents = _extents(text) if capacity == 0 else ()
    return Header("vmdk", capacity * SECTOR or None, (*extents, *parents, *_parents(text)))


def _embedded(read: Read, offset: int, size: int) -> bytes:
    text = read(offset, min(max(size, _QEMU_DESCRIPTOR_BYTES), MOST_DESCRIPTOR_BYTES))
    if not text:
        raise InvalidSourceError("The VMDK's descriptor lies where it can't be read.")
    return text


def _extents(text: bytes) -> tuple[Reference, ...]:
    """The files that hold the data. Read as loosely as qemu does, and more."""
    found = _EXTENT.findall(text)
    if len(found) > MOST_EXTENTS:
        raise InvalidSourceError(f"The VMDK has more than {MOST_EXTENTS} extents.")
    return tuple(Reference(os.fsdecode(name), _extent_format(kind)) for kind, name in found)


def _parents(text: bytes) -> tuple[Reference, ...]:
    return tuple(Reference(os.fsdecode(name), "vmdk") for name in _PARENT.findall(text) if name)


def _extent_format(kind: bytes) -> str | None:
    return "raw" if kind.upper() in {b"FLAT", b"VMFS"} else None


def _without_references(format_name: str) -> Callable[[Read], Header]:
    """For these qemu opens nothing else; it refuses those that need a parent."""
    return lambda _: Header(format_name, None, ())


_READERS = {
    "qcow2": _read_qcow2,
    "qcow": _read_qcow,
    "qed": _read_qed,
    "vmdk": _read_vmdk,
    "vdi": _without_references("vdi"),
    "vhdx": _without_references("vhdx"),
    "vpc": _without_references("vpc"),
}
