"""The Scanner protocol: looks into a source and lists the VMs that are in it."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from app.errors import AppError, HostError
from app.models.common import Shape
from app.models.vm import VmConfig
from app.sources.base import Site, Source, SourceReading

S = TypeVar("S", bound=Shape)


@dataclass(frozen=True)
class Found:
    """A VM, with the source that imports it; or something that can't be imported, and why."""

    path: str | None
    """Where it lies; None where the source has no path."""
    source: Shape | None
    """None: nothing that an import could be asked for."""
    reading: SourceReading | None = None
    problem: AppError | None = None

    @property
    def config(self) -> VmConfig | None:
        return None if self.reading is None else self.reading.config


@dataclass(frozen=True)
class Findings:
    found: tuple[Found, ...]
    complete: bool = True
    """False: there is more than is looked at."""


class Scanner(Protocol[S]):
    """One kind of source that can be looked into."""

    kind: ClassVar[str]
    Spec: type[S]

    async def scan(self, spec: S, site: Site) -> Findings:
        """Raises what makes the whole scan fail: of single VMs the reason stands in the list."""


async def read_whole(source: Source[Any], spec: Shape, site: Site, *, path: str | None) -> Found:
    """The VM of this source. Raises as `Source.read`."""
    return Found(path, spec, await source.read(spec, site))


async def read_vm(source: Source[Any], spec: Shape, site: Site, *, path: str | None) -> Found:
    """The VM of this source, or why it can't be imported. Raises HostError."""
    try:
        return await read_whole(source, spec, site, path=path)
    except HostError:
        raise
    except AppError as error:
        return Found(path, spec, problem=error)
