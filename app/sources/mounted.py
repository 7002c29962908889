"""Sources on NFS exports and block devices: mounted on the proxy host, then read as if they lay there."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from app.errors import AppError, SourceNotAllowedError
from app.models.common import Shape
from app.proxy.mounts import Mount
from app.sources.base import Site, Source, SourceReading

NFS: Final = "nfs://"
DEVICE: Final = "device://"

S = TypeVar("S", bound=Shape)


@dataclass(frozen=True)
class Place:
    """Where a source is looked for: what is mounted for it, by which address, and where it then lies."""

    mount: Mount
    root: str
    """The address of what is mounted, as `source_roots` has it."""
    directory: str

    def local(self, path: str) -> str:
        return self.directory + path[len(self.root) :]

    def address(self, path: str) -> str:
        """The path as clients know it; others than in the mount stay as they are."""
        is_inside = path == self.directory or path.startswith(f"{self.directory}/")
        return self.root + path[len(self.directory) :] if is_inside else path


def place_of(spec: Shape, roots: Sequence[str], work_dir: str) -> Place | None:
    """What has to be mounted for the source; None for one that lies on the host itself.

    Raises SourceNotAllowedError when no root of the proxy host holds it.
    """
    path = getattr(spec, "path", None)
    if not isinstance(path, str) or path.startswith("/"):
        return None
    path = _lowered(path)
    holding = [(root, version) for root, version in map(_root, roots) if _holds(root, path)]
    if not holding:
        raise SourceNotAllowedError(f"{path!r} lies in none of the proxy host's source roots.")
    root, version = max(holding, key=lambda one: len(one[0]))
    mount = _mount(root, version)
    return Place(mount, root, mount.directory(work_dir))


def _root(text: str) -> tuple[str, str | None]:
    """The address of a source root, and the version of the protocol that it names."""
    if not text.startswith(NFS):
        return text.rstrip("/"), None
    address, _, version = text.partition("?vers=")
    return _lowered(address).rstrip("/"), version or None


def _lowered(address: str) -> str:
    """Names of servers mean the same in any case."""
    if not address.startswith(NFS):
        return address
    server, slash, rest = address.removeprefix(NFS).partition("/")
    return f"{NFS}{server.lower()}{slash}{rest}"


def _holds(root: str, path: str) -> bool:
    return root.startswith((NFS, DEVICE)) and (path == root or path.startswith(f"{root}/"))


def _mount(root: str, version: str | None) -> Mount:
    if root.startswith(DEVICE):
        return Mount(kind="device", source=root.removeprefix(DEVICE))
    parts = urlsplit(root)
    export = root.removeprefix(f"{NFS}{parts.netloc}") or "/"
    return Mount(kind="nfs", source=f"{parts.netloc}:{export}", version=version)


def site_of(place: Place | None, site: Site) -> Site:
    """Where the source is read: for one that is mounted, in the mount and nowhere else."""
    if place is None:
        return site
    return replace(site, agent=site.agent.mounting(place.mount), roots=[place.directory])


def moved(spec: S, place: Place | None) -> S:
    """The source with its path as it is on the host."""
    if place is None:
        return spec
    path = _lowered(str(getattr(spec, "path", "")))
    # Not validated again: what the directory adds is ours.
    return spec.model_copy(update={"path": place.local(path)})


@contextmanager
def told_as_address(place: Place | None) -> Iterator[None]:
    """Say the errors about what lies in a mount by the paths that clients know."""
    try:
        yield
    except AppError as error:
        raise error if place is None else readdressed(error, place) from error.__cause__


def readdressed(error: AppError, place: Place) -> AppError:
    """The error, told by the paths that clients know."""
    detail = error.detail.replace(place.directory, place.root)
    return type(error)(detail, errors=error.errors, hint=error.own_hint)


async def read(
    source: Source[Any], spec: Shape, site: Site, *, without: Collection[str] = ()
) -> SourceReading:
    """As `Source.read`, with what has to be mounted for it; the job goes on with the path there.

    Raises MountFailedError as well.
    """
    place = place_of(spec, site.roots, site.agent.proxy.address.work_dir)
    local = moved(spec, place)
    with told_as_address(place):
        reading = await source.read(local, site_of(place, site), without=without)
    if place is None:
        return reading
    return replace(reading, source=reading.source or local, roots=(place.directory,), mounts=(place.mount,))
