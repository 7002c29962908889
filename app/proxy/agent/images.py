"""Says what a disk image is, once it is known that it opens nothing outside its own directory."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Collection, NamedTuple, Tuple

from app.proxy.agent import commands
from app.proxy.agent.headers import Reference, detect, read_header
from app.proxy.agent.looking import Opened, is_inside, opened, opened_result, told_as_source
from app.proxy.agent.refusals import (
    InvalidSourceError,
    SourceNotFoundError,
    SourceUnreadableError,
    UnsafeImageError,
)

INFO_SECONDS = 20.0
BLOCK_BYTES = 512
DEEPEST_CHAIN = 32
_PROTOCOL = re.compile("[^/]*:")
"""What qemu takes for a protocol or `json:`, and not for a path."""


class ImageFile(NamedTuple):
    """One image of a chain."""

    path: str
    format: str


Chain = Tuple[ImageFile, ...]
"""The images that one stands on, the nearest first."""


def image_info(
    *,
    path: str,
    roots: list[str],
    format_name: str | None,
    beside: list[str],
) -> dict[str, object]:
    with opened(path, roots) as found:
        image, *chain = safe_images(found, format_name, roots, beside)
        answer = describe(image.path, image.format, query(["-f", image.format, image.path]))
        below = sum(Path(file.path).stat().st_blocks * BLOCK_BYTES for file in chain)
        return {**answer, "chain_bytes": below, "chain": [file._asdict() for file in chain]}


def disk_result(*, path: str, format_name: str) -> dict[str, object]:
    with opened_result(path) as found:
        _check_result(found, format_name)
        return describe(path, format_name, query(["-f", format_name, path]))


def _check_result(found: Opened, format_name: str) -> None:
    """A disk stands alone, and is of the format that was asked for."""
    _check_image(found)

    def read(offset: int, size: int) -> bytes:
        return os.pread(found.fd, size, offset)

    # A raw disk may hold anything, but what begins like a qcow2 was written as one.
    if format_name == "raw" and detect(read, found.size_bytes) == "qcow2":
        raise InvalidSourceError("The image is a qcow2, not raw.")
    references = read_header(read, found.size_bytes, format_name).references
    if references:
        raise InvalidSourceError(f"The image refers to another file, {references[0].name!r}.")


def query(image: list[str]) -> dict[str, object]:
    """What `qemu-img info` says. Raises InvalidSourceError when it can't open it, SourceUnreadableError."""
    try:
        done = commands.run(["qemu-img", "info", "--output=json", "-U", *image], INFO_SECONDS)
    except commands.TooSlowError as error:
        raise SourceUnreadableError(f"The image can't be read: {error}") from error
    if done.status != 0:
        raise InvalidSourceError(f"qemu-img can't read the image: {done.stderr}")
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def describe(path: str, format_name: str, info: dict[str, object]) -> dict[str, object]:
    return {
        "path": path,
        "format": format_name,
        "virtual_bytes": info["virtual-size"],
        "actual_bytes": info.get("actual-size", 0),
    }


def safe_images(found: Opened, wanted: str | None, roots: list[str], beside: Collection[str]) -> Chain:
    """The image and those that it stands on, once all that they refer to was found harmless.

    They refer to files in their own directories only, and to those in `beside`.
    Raises UnsafeImageError, InvalidSourceError, SourceUnreadableError, SourceNotAllowedError.
    """
    return _safe_images(found, wanted, _Reach(roots, frozenset(beside)), depth=0)


class _Reach(NamedTuple):
    """What may be opened: what lies in the roots; outside of an image's own directory, only `beside`."""

    roots: list[str]
    beside: frozenset[str]


def _safe_images(found: Opened, wanted: str | None, reach: _Reach, depth: int) -> Chain:
    _check_image(found)
    if depth > DEEPEST_CHAIN:
        raise UnsafeImageError(f"The image's chain has more than {DEEPEST_CHAIN} links.")
    header = read_header(lambda offset, size: os.pread(found.fd, size, offset), found.size_bytes, wanted)
    chain: Chain = ()
    for reference in header.references:
        below = _safe_reference(reference, found.path, reach, depth)
        chain += below if reference.is_backing else ()
    return (ImageFile(str(found.path), header.format), *chain)


def _check_image(found: Opened) -> None:
    if found.kind == "directory":
        raise InvalidSourceError(f"{str(found.path)!r} is a directory.")


def _safe_reference(reference: Reference, image: Path, reach: _Reach, depth: int) -> Chain:
    name = reference.name
    if not name or "\0" in name or _PROTOCOL.match(name):
        raise UnsafeImageError(f"{image.name!r} refers to {name!r}, which is no file's path.")
    with told_as_source(name):
        target = (image.parent / name).resolve()
    if not is_inside(target, image.parent) and str(target) not in reach.beside:
        raise UnsafeImageError(f"{image.name!r} refers to {name!r}, outside its own directory.")
    try:
        with opened(str(target), reach.roots) as found:
            return _safe_images(found, reference.format, reach, depth + 1)
    except SourceNotFoundError as error:
        raise InvalidSourceError(f"{image.name!r} refers to {name!r}, which is not there.") from error
