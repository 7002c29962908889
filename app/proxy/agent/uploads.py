"""Files that clients bring, each in a marked directory of its own; a client's name never leads out of it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from app.proxy.agent import files
from app.proxy.agent.forms import form_of
from app.proxy.agent.marks import Mark, make_marked, remove_marked
from app.proxy.agent.places import is_id, prepare
from app.proxy.agent.refusals import (
    InvalidSourceError,
    NoRoomError,
    RefusedError,
    SourceNotFoundError,
    UploadLostError,
    WorkDirUnusableError,
    of_system,
)
from app.proxy.agent.storage import space


class UploadPlace:
    """Where one upload lies. `data` is the file; `unproven` is there while its end has no checksum yet."""

    def __init__(self, work_dir: str, upload_id: str) -> None:
        """Raises RefusedError for what is no id: it becomes a file name."""
        if not is_id(upload_id):
            raise RefusedError(f"{upload_id!r} is no upload's id.")
        self.upload_id = upload_id
        self.directory = Path(work_dir) / "uploads" / upload_id
        self.data = self.directory / "data"
        self.told = self.directory / "told.json"
        self.unproven = self.directory / "unproven"
        self.sets = self.directory / "sets"


class Told(NamedTuple):
    """What the client said of the file."""

    name: str
    length_bytes: int


def create_upload(
    *,
    work_dir: str,
    upload_id: str,
    installation_id: str,
    name: str,
    length_bytes: int,
    others_bytes: int,
) -> None:
    prepare(work_dir)
    place = UploadPlace(work_dir, upload_id)
    left = space(Path(work_dir))["free_bytes"] - others_bytes
    if left < length_bytes:
        raise NoRoomError(
            f"The proxy host has room for an upload of {max(left, 0)} bytes, {length_bytes} are needed."
        )
    try:
        if not place.directory.exists():
            make_marked(place.directory, Mark(upload_id, installation_id))
        place.data.touch(mode=0o600)
        told = {"name": name, "length_bytes": length_bytes}
        files.write_whole(place.told, json.dumps(told).encode())
    except OSError as error:
        raise of_system(error, WorkDirUnusableError, "The upload's directory can't be made") from error


def upload_offset(*, work_dir: str, upload_id: str) -> dict[str, int]:
    place = UploadPlace(work_dir, upload_id)
    told = told_of(place)
    return {"offset_bytes": proven(place, place.data.stat().st_size), "length_bytes": told.length_bytes}


def told_of(place: UploadPlace) -> Told:
    """Raises UploadLostError when the upload isn't there, or not whole."""
    try:
        told = json.loads(place.told.read_text())
        place.data.lstat()
    except FileNotFoundError as error:
        raise UploadLostError("The proxy host does not have the upload any more.") from error
    return Told(told["name"], told["length_bytes"])


def proven(place: UploadPlace, size_bytes: int) -> int:
    """How much of the file counts: not what came since a chunk began whose checksum was never compared."""
    try:
        return min(size_bytes, int(place.unproven.read_text()))
    except FileNotFoundError:
        return size_bytes


def gather_uploads(*, work_dir: str, upload_ids: list[str]) -> dict[str, object]:
    """All of them under their own names in one directory of the first one's, for what refers to a name."""
    places = [UploadPlace(work_dir, upload_id) for upload_id in upload_ids]
    names = [_complete(place) for place in places]
    for name in names:
        if names.count(name) > 1:
            raise InvalidSourceError(f"Two of the uploads are named {name!r}.")
    together = hashlib.sha256("\n".join(upload_ids).encode()).hexdigest()[:16]
    directory = places[0].sets / together
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for place, name in zip(places, names):
        _link(place.data, directory / name)
    return {
        "directory": str(directory),
        "files": [{"name": name, "form": _form(directory / name)} for name in names],
    }


def _complete(place: UploadPlace) -> str:
    """The name of a file that is whole. Raises SourceNotFoundError, InvalidSourceError."""
    try:
        told = told_of(place)
    except UploadLostError as error:
        raise SourceNotFoundError(
            f"The proxy host does not have the upload {place.upload_id} any more."
        ) from error
    if proven(place, place.data.stat().st_size) != told.length_bytes:
        raise InvalidSourceError(f"The upload {place.upload_id} is not complete.")
    return plain_name(told.name)


def plain_name(name: str) -> str:
    """The last part of what the client called the file; it leads nowhere."""
    last = name.rsplit("/", 1)[-1]
    return "file" if last in {"", ".", ".."} else last


def _link(data: Path, name: Path) -> None:
    """A hard link: what follows a symbolic one would say that the file lies elsewhere."""
    if os.path.lexists(name) and data.samefile(name):
        return
    files.remove_file(name)
    os.link(data, name)


def _form(path: Path) -> str:
    with path.open("rb") as file:
        return form_of(file.fileno())


def remove_upload(*, work_dir: str, upload_id: str) -> None:
    place = UploadPlace(work_dir, upload_id)
    if place.directory.parent.is_dir():
        remove_marked(place.directory, upload_id)
