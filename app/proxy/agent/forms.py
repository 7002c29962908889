"""Tells what a file is by its first bytes, whatever its name says."""

from __future__ import annotations

import os
import re
import zlib

from app.proxy.agent.headers import SECTOR, detect

GZIP, TAR, XML = "gzip", "tar", "xml"
_GZIP, _TAR, _TAR_AT, _NAME_BYTES = b"\x1f\x8b", b"ustar", 257, 100
_SPACE = b"\xef\xbb\xbf \t\r\n"
_HEAD_BYTES = 64 << 10
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_ELEMENT = re.compile(rb"<([A-Za-z_][\w.-]*)")


def form_of(fd: int) -> str:
    """`tar`, `gzip`, `xml`, or the format of a disk image."""
    head = os.pread(fd, SECTOR, 0)
    if head.startswith(_GZIP):
        return GZIP
    if head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        return TAR
    if head.lstrip(_SPACE).startswith(b"<"):
        return XML
    return detect(lambda offset, size: os.pread(fd, size, offset), os.fstat(fd).st_size)


def root_element(fd: int) -> str:
    """The name of an XML file's first element, as far as its beginning tells it."""
    found = _ELEMENT.search(_COMMENT.sub(b"", os.pread(fd, _HEAD_BYTES, 0)))
    return "" if found is None else found.group(1).decode("latin-1")


def first_member(fd: int) -> str:
    """The name of the first file in a tar or tar.gz."""
    head = os.pread(fd, _HEAD_BYTES, 0)
    if head.startswith(_GZIP):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, SECTOR)
        except zlib.error:
            return ""
    return head[:_NAME_BYTES].split(b"\0", 1)[0].decode("latin-1")
