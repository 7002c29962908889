"""Finds volumes in the images of an oVirt storage domain by what vdsm noted beside them."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Iterator

from app.proxy.agent.images import DEEPEST_CHAIN
from app.proxy.agent.looking import MOST_NAMES, Opened, opened
from app.proxy.agent.places import is_id
from app.proxy.agent.refusals import (
    DiskMissingError,
    InvalidSourceError,
    RefusedError,
    SourceNotFoundError,
    UnsafeImageError,
)

LONGEST_META = 64 << 10
NO_PARENT = "00000000-0000-0000-0000-000000000000"
STORE_MARKS = ("DISKTYPE=OVFS", "OVF_STORE")
LOOK_SECONDS = 90.0


def volume_chain(*, images: str, image_id: str, volume_id: str, roots: list[str]) -> dict[str, object]:
    """The volume and those below it, each with its path and what its metadata says."""
    with opened(images, roots) as found:
        top = found.path
    chain: list[dict[str, object]] = []
    seen: set[str] = set()
    while volume_id != NO_PARENT:
        if volume_id in seen or len(seen) > DEEPEST_CHAIN:
            raise InvalidSourceError(f"The volumes of image {image_id} stand on each other in a circle.")
        seen.add(volume_id)
        path = _volume(top, image_id, volume_id)
        meta = _meta(path, roots)
        chain.append({"path": str(path), "meta": meta, "size_bytes": _own_size(path)})
        image_id, volume_id = path.parent.name, _parent(meta)
    return {"volumes": chain}


def _volume(images: Path, image_id: str, volume_id: str) -> Path:
    """In its own image, or (the base of a clone) in its template's. Raises DiskMissingError."""
    if not is_id(image_id) or not is_id(volume_id):
        raise InvalidSourceError(f"{image_id!r}/{volume_id!r} names no volume.")
    own = images / image_id / volume_id
    found = [own] if os.path.lexists(own) else _elsewhere(images, volume_id)
    if not found:
        raise DiskMissingError(f"Volume {volume_id} of image {image_id} is not in the domain.")
    return found[0]


def _elsewhere(images: Path, volume_id: str) -> list[Path]:
    return sorted(path for path in images.glob(f"*/{volume_id}") if is_id(path.parent.name))


def _meta(volume: Path, roots: list[str]) -> str:
    path = volume.with_name(f"{volume.name}.meta")
    try:
        with opened(str(path), roots) as found:
            _check_own(found, path)
            text = _text(found)
    except SourceNotFoundError as error:
        raise DiskMissingError(f"Volume {volume.name} has no metadata in the domain.") from error
    return text


def _own_size(path: Path) -> int:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeImageError(f"{str(path)!r} is no file of the domain's own.")
    return found.st_size


def _check_own(found: Opened, path: Path) -> None:
    """A link would lead to another volume than the domain says."""
    if found.path != path or found.kind != "file":
        raise UnsafeImageError(f"{str(path)!r} is no file of the domain's own.")


def _text(found: Opened) -> str:
    data = os.pread(found.fd, LONGEST_META + 1, 0)
    if len(data) > LONGEST_META:
        raise InvalidSourceError(f"{str(found.path)!r} is too long for a volume's metadata.")
    return data.decode(errors="replace")


def _parent(meta: str) -> str:
    """Who reads the metadata refuses one that tells no parent."""
    values = [line.partition("=")[2].strip() for line in meta.splitlines() if line.startswith("PUUID=")]
    return values[0].lower() if values else NO_PARENT


def ovf_stores(*, images: str, roots: list[str]) -> dict[str, object]:
    """The volumes in which engines keep the descriptions of a data domain's VMs, the newest first."""
    with opened(images, roots) as found:
        top = found.path
        names = [entry.name for entry in top.iterdir() if is_id(entry.name)]
    stores = sorted(_stores(top, names, roots), reverse=True)
    return {"paths": [path for _, path in stores]}


def _stores(top: Path, names: list[str], roots: list[str]) -> Iterator[tuple[float, str]]:
    deadline = time.monotonic() + LOOK_SECONDS
    for number, name in enumerate(names):
        if number >= MOST_NAMES or time.monotonic() > deadline:
            raise RefusedError("The domain has too many images to be looked through.")
        for path in sorted((top / name).glob("*.meta")):
            volume = path.with_suffix("")
            if is_id(volume.name) and volume.is_file() and _is_store(volume, roots):
                yield volume.stat().st_mtime, str(volume)


def _is_store(volume: Path, roots: list[str]) -> bool:
    try:
        meta = _meta(volume, roots)
    except RefusedError:
        # Of a disk that is none of ours to judge.
        return False
    return any(mark in meta for mark in STORE_MARKS)
