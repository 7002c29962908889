"""Looks through a folder for what may be a VM: no link leads out of it, and nothing is followed twice."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Iterator

from app.proxy.agent.forms import GZIP, TAR, XML, first_member, form_of, root_element
from app.proxy.agent.headers import read_header
from app.proxy.agent.looking import Opened, is_text, opened
from app.proxy.agent.refusals import (
    InvalidSourceError,
    RefusedError,
    SourceUnreadableError,
    of_system,
)

DEEPEST = 16
MOST_LOOKS = 50_000
RAW_ENDINGS = (".img", ".raw", ".dd")
"""Any file could be a raw image; these names say so."""
OVA, OVF, LIBVIRT_XML, VMX, DISK = "ova", "ovf", "libvirt_xml", "vmx", "disk"
EXPORT_DOMAIN = "export_domain"


def walk(*, path: str, roots: list[str], most: int, seconds: float) -> dict[str, object]:
    with opened(path, roots) as found:
        if found.kind != "directory":
            raise InvalidSourceError(f"{path!r} is no folder.")
        top = found.path
    walking = _Walk(roots, most, time.monotonic() + seconds)
    walking.through(top)
    return {"entries": walking.entries, "refused": walking.refused, "complete": walking.complete}


class _Walk:
    """What was found so far, and how much may still be."""

    def __init__(self, roots: list[str], most: int, deadline: float) -> None:
        self.entries: list[dict[str, object]] = []
        self.refused: list[dict[str, str]] = []
        self.complete = True
        self._roots, self._most, self._deadline = roots, most, deadline
        self._looks = 0
        self._seen: set[Path] = set()

    def through(self, top: Path) -> None:
        waiting = [(top, 0)]
        while waiting:
            folder, depth = waiting.pop()
            if _is_domain(folder):
                self._note(folder, EXPORT_DOMAIN, [])
                continue
            for entry in self._entries(folder):
                if not self._may_go_on():
                    return
                below = self._look(entry)
                if below is not None and depth >= DEEPEST:
                    self.complete = False
                elif below is not None:
                    waiting.append((below, depth + 1))

    def _may_go_on(self) -> bool:
        self._looks += 1
        told = len(self.entries) + len(self.refused)
        may = told < self._most and self._looks <= MOST_LOOKS and time.monotonic() < self._deadline
        self.complete = self.complete and may
        return may

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        """Those that aren't hidden, by their names."""
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._refuse(folder, of_system(error, SourceUnreadableError, "The folder can't be read"))
            return
        for entry in found:
            if not entry.name.startswith("."):
                yield entry

    def _look(self, entry: os.DirEntry[str]) -> Path | None:
        """A folder to go through; what else the entry is, is noted."""
        try:
            if entry.is_dir(follow_symlinks=False):
                return Path(entry.path)
            if entry.is_file():
                with opened(entry.path, self._roots) as found:
                    self._file(found)
        except RefusedError as error:
            self._refuse(Path(entry.path), error)
        except OSError as error:
            self._refuse(Path(entry.path), of_system(error, SourceUnreadableError, "It can't be read"))
        return None

    def _file(self, found: Opened) -> None:
        form = _form(found)
        if form is not None and found.path not in self._seen:
            self._seen.add(found.path)
            self._note(found.path, form, _references(found) if form == DISK else [])

    def _note(self, path: Path, form: str, references: list[str]) -> None:
        self.entries.append({"path": str(path), "form": form, "references": references})

    def _refuse(self, path: Path, error: RefusedError) -> None:
        mended = os.fsencode(path).decode(errors="replace")
        self.refused.append({"path": mended, "code": error.code, "detail": str(error)})


def _is_domain(folder: Path) -> bool:
    """Whether it is a storage domain of oVirt."""
    # Unlike Path.is_file, it says no where nobody may look.
    return is_text(str(folder)) and os.path.isfile(folder / "dom_md" / "metadata")  # noqa: PTH113  # as said


def _form(found: Opened) -> str | None:
    """What the file is to us; None for what is no VM and no part of one."""
    name = found.path.name.lower()
    if name.endswith((".ovf", ".vmx")):
        return OVF if name.endswith(".ovf") else VMX
    form = form_of(found.fd)
    if form in {TAR, GZIP}:
        return OVA if name.endswith(".ova") or first_member(found.fd).lower().endswith(".ovf") else None
    if form == XML:
        return LIBVIRT_XML if root_element(found.fd) == "domain" else None
    if form == "raw":
        return DISK if name.endswith(RAW_ENDINGS) and found.size_bytes else None
    return DISK


def _references(found: Opened) -> list[str]:
    """The files that the image stands on or is made of; an image that can't be read has none."""
    try:
        header = read_header(lambda offset, size: os.pread(found.fd, size, offset), found.size_bytes, None)
    except RefusedError:
        return []
    named = [os.path.realpath(found.path.parent / reference.name) for reference in header.references]
    return [os.fsencode(path).decode(errors="replace") for path in named]
