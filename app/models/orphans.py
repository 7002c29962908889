"""Orphans: what carries our mark on proxy hosts and storage domains and is nobody's any more."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field as ShapeField

from app.errors import Problem
from app.models.columns import UtcTime
from app.models.common import Page, Shape

MOST_REMOVED = 100


class OrphanKind(StrEnum):
    ATTEMPT_DIRECTORY = "attempt_directory"
    PROCESS = "process"
    STORAGE_DIRECTORY = "storage_directory"
    UPLOAD = "upload"


@dataclass(frozen=True)
class MarkedThing:
    """Something that carries a mark, as a proxy host tells it; whose it is, the database says."""

    kind: OrphanKind
    proxy_host_id: UUID
    """The host that was asked."""
    storage_domain_id: UUID | None
    attempt_id: UUID
    """The id in the mark: an attempt's, an upload's, or a VM's that was being deleted."""
    installation_id: UUID | None
    path: str | None
    size_bytes: int | None
    created_at: datetime | None
    running: bool

    @property
    def place_id(self) -> UUID:
        """Where it is: several hosts may see one storage domain."""
        return self.storage_domain_id or self.proxy_host_id

    @property
    def id(self) -> UUID:
        """Always the same for the same thing, and sorted as its attempt is, by time.

        A UUID version 8: the time of the attempt's id, the place, and a hash. An attempt's directories and
        processes on a host are one thing.
        """
        path = self.path if self.kind is OrphanKind.STORAGE_DIRECTORY else None
        told = "\0".join(str(part) for part in (self.place_id, self.attempt_id, path))
        digest = int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big")
        time = self.attempt_id.int >> 80
        return UUID(int=time << 80 | 8 << 76 | place_tag(self.place_id) << 64 | 2 << 62 | digest >> 2)


def place_tag(place_id: UUID) -> int:
    """The twelve bits of an orphan's id that tell which places it can be at."""
    return int.from_bytes(hashlib.sha256(place_id.bytes).digest()[:2], "big") >> 4


def tag_in(orphan_id: UUID) -> int:
    return orphan_id.int >> 64 & 0xFFF


class Orphan(Shape):
    id: UUID
    """The same for the same thing, as long as it is there."""
    kind: OrphanKind
    """`process`: processes whose directory is gone."""
    proxy_host_id: UUID
    """The proxy host on which it is, or through which the storage domain was looked at."""
    storage_domain_id: UUID | None
    """Null: it is in the proxy host's work directory."""
    attempt_id: UUID | None
    """What its mark says; of an upload, that one's id."""
    import_id: UUID | None
    """Null: the import is not known any more."""
    path: str | None
    size_bytes: int | None
    """What it takes on the disk; null when that takes too long to find out."""
    created_at: UtcTime | None
    running: bool
    """Processes of the attempt live on the proxy host."""


class UnreachablePlace(Shape):
    """A place that could not be looked at, or not whole: there may be more."""

    proxy_host_id: UUID
    storage_domain_id: UUID | None
    """Null: the proxy host itself."""
    problem: Problem


class OrphanPage(Page[Orphan]):
    unreachable: list[UnreachablePlace]


class OrphansRemove(Shape):
    ids: Annotated[tuple[UUID, ...], ShapeField(min_length=1, max_length=MOST_REMOVED)]


class RemovalOutcome(StrEnum):
    REMOVED = "removed"
    GONE = "gone"
    OWNED = "owned"
    FAILED = "failed"


class OrphanRemoval(Shape):
    id: UUID
    outcome: RemovalOutcome
    """`gone`: it was not there any more. `owned`: it is no orphan any more, an import has taken it."""
    problem: Problem | None = None
    """Why it `failed`; it may be asked for again."""


class OrphanRemovals(Shape):
    items: tuple[OrphanRemoval, ...]
    """One for each id, in the order of the request."""
