"""The request and answer shapes of scans."""

from uuid import UUID

from pydantic import StrictBool, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from app.errors import Problem, RecordUnreadableError
from app.models.columns import UtcTime
from app.models.common import Json, Shape
from app.models.scans import ScanState
from app.models.source_vms import SourceVm
from app.sources import SourceSpec
from app.sources.provider_vm import ProviderVm
from app.sources.scans import ScanSource
from app.sources.upload import UploadedFiles

HAVE_A_PLACE = frozenset({UploadedFiles.kind, ProviderVm.kind})
"""Kinds of sources that may say themselves on which proxy host they are looked at."""


class ScanCreate(Shape):
    """A request to look into a source."""

    proxy_host_id: UUID | None = None
    """Where to look. Null for uploads, which are looked at where they are, and for a VM of a provider that is
    reached through a proxy host.
    """
    source: ScanSource
    deep: StrictBool = False
    """Also look into the guests, without copying their disks: their system, drivers and free space."""

    @model_validator(mode="after")
    def _somewhere(self) -> "ScanCreate":
        if self.proxy_host_id is None and self.source.kind not in HAVE_A_PLACE:
            raise PydanticCustomError("needed_with", "Give `proxy_host_id`: the path is one on that host")
        return self


class ScanItem(Shape):
    """A VM, or something that can't be imported: then `problem` says why, and `vm` is null."""

    path: str | None
    """Where it lies; null for uploads. Bytes that are no UTF-8 are shown as U+FFFD."""
    source: SourceSpec | None
    """As it can be posted to `/v1/imports`; null where nothing could be asked for."""
    vm: SourceVm | None
    problem: Problem | None
    guest_problem: Problem | None = None
    """Why a deep scan could not look into the guest."""


class ScanSummaryPublic(Shape):
    """A scan, as lists show it."""

    id: UUID
    state: ScanState
    proxy_host_id: UUID
    source: ScanSource | None
    """Null when the record of it can't be read any more."""
    deep: bool
    item_count: int
    complete: bool
    """False: there is more than one scan looks at; scan what lies below by itself."""
    problem: Problem | None
    """Why it failed."""
    created_by: str
    """The name of the token."""
    created_at: UtcTime
    started_at: UtcTime | None
    finished_at: UtcTime | None
    version: int


class ScanPublic(ScanSummaryPublic):
    """A scan with all that it found, once it has succeeded."""

    items: tuple[ScanItem, ...]


_sources: TypeAdapter[ScanSource] = TypeAdapter(ScanSource)


def source_from_row(saved: Json) -> ScanSource:
    """Raises RecordUnreadableError."""
    try:
        return _sources.validate_python(saved)
    except ValidationError as error:
        raise RecordUnreadableError("What the scan was asked to look at can't be read any more.") from error


def items_from_row(saved: tuple[Json, ...]) -> tuple[ScanItem, ...]:
    """Those that can be read: a newer version of the program may have written others."""
    return tuple(item for one in saved if (item := _item(one)) is not None)


def _item(saved: Json) -> ScanItem | None:
    try:
        return ScanItem.model_validate(saved)
    except ValidationError:
        return None
