"""Imports: one VM on its way in. The shapes that name a source kind stand in `services.specs`."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, SecretStr, StrictBool, StrictInt, StringConstraints, model_validator
from pydantic import Field as ShapeField
from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.errors import Problem
from app.models.columns import Typed, UtcDateTime, UtcTime, new_id, now
from app.models.common import Description, Json, NoNul, Plain, ResourceName, Shape
from app.models.progress import DiskProgress, Progress
from app.models.state import ImportState


class DiskFormat(StrEnum):
    RAW = "raw"
    QCOW2 = "qcow2"


class Allocation(StrEnum):
    SPARSE = "sparse"
    PREALLOCATED = "preallocated"


class MacPolicy(StrEnum):
    KEEP = "keep"
    NEW = "new"


class ConversionMode(StrEnum):
    CONVERT = "convert"
    COPY = "copy"


class VmProperties(Shape):
    """What the VM is to be; null keeps what the source says."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    cpu_count: StrictInt | None = ShapeField(default=None, ge=1, le=4096)
    memory_bytes: StrictInt | None = ShapeField(default=None, ge=2**20, le=2**50)
    os: Annotated[str, StringConstraints(max_length=255), Plain] | None = None
    description: Description | None = None


class DiskDefaults(Shape):
    format: DiskFormat = DiskFormat.RAW
    allocation: Allocation = Allocation.SPARSE


class DiskProperties(Shape):
    source_disk_id: Annotated[str, StringConstraints(min_length=1, max_length=1024), NoNul]
    include: StrictBool = True
    format: DiskFormat | None = None
    allocation: Allocation | None = None
    storage_domain_id: UUID | None = None
    bus: Annotated[str, StringConstraints(max_length=64), Plain] | None = None


Mac = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$")]


class NicMap(Shape):
    """Where the source's NICs go: those of one network, or the one with that MAC address."""

    network: ResourceName | None = None
    mac: Mac | None = None
    target: ResourceName
    mac_policy: MacPolicy = MacPolicy.KEEP

    @model_validator(mode="after")
    def _one_of_the_two(self) -> "NicMap":
        if (self.network is None) == (self.mac is None):
            raise ValueError("give exactly one of `network` and `mac`")
        return self


def _root(value: str) -> str:
    if value not in {"first", "single"} and not value.startswith("/dev/"):
        raise ValueError("`first`, `single` or a device such as `/dev/sda2`")
    return value


class ConversionProperties(Shape):
    mode: ConversionMode = ConversionMode.CONVERT
    root: Annotated[str, StringConstraints(max_length=255), Plain, AfterValidator(_root)] = "first"
    luks_keys: tuple[SecretStr, ...] = ShapeField(default=(), max_length=64)
    debug: StrictBool = False


LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9._/\-]+$")]
LabelValue = Annotated[str, StringConstraints(max_length=255), Plain]
MOST_LABELS = 64
Labels = Annotated[dict[LabelKey, LabelValue], ShapeField(max_length=MOST_LABELS)]
ConcernCode = Annotated[str, StringConstraints(max_length=128), Plain]
Priority = Annotated[StrictInt, ShapeField(ge=0, le=9)]


class ImportProperties(Shape):
    """Everything of an import request but its source."""

    storage_domain_id: UUID | None = None
    data_center_id: UUID | None = None
    proxy_host_id: UUID | None = None
    vm: VmProperties = VmProperties()
    disk_defaults: DiskDefaults = DiskDefaults()
    disks: tuple[DiskProperties, ...] = ShapeField(default=(), max_length=1000)
    nics: tuple[NicMap, ...] = ShapeField(default=(), max_length=1000)
    conversion: ConversionProperties = ConversionProperties()
    priority: Priority = 5
    start_after: UtcTime | None = None
    labels: Labels = ShapeField(default_factory=dict)
    keep_on_failure: StrictBool = False
    accept_concerns: tuple[ConcernCode, ...] = ShapeField(default=(), max_length=1000)


class ImportPatch(Shape):
    priority: Priority | None = None
    labels: Annotated[dict[LabelKey, LabelValue | None], ShapeField(max_length=MOST_LABELS)] | None = None
    """Merged with those that are there; one that is null is removed."""
    start_after: UtcTime | None = None


class ConversionWarning(Shape):
    code: str
    message: str


class Retry(Shape):
    at: UtcTime
    reason: str


class QueueStatus(Shape):
    """Where a queued import stands; computed when it is read."""

    position: int
    reason: str


class Direction(StrEnum):
    FORWARD = "forward"
    BACK = "back"


class VmImport(SQLModel, table=True):
    """The truth about an import. Saved only `WHERE id AND turn` by turns; `version` counts its changes."""

    __tablename__ = "vm_imports"
    __table_args__ = (Index("ix_vm_imports_due", "state", "wake_at"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    state: str = Field(default=ImportState.QUEUED, index=True)
    step: str | None = None
    stage: str | None = None
    direction: str = Field(default=Direction.FORWARD)
    spec: Json = Field(sa_type=Typed(Json))
    sealed_secrets: bytes | None = None
    data_center_id: UUID = Field(index=True)
    storage_domain_id: UUID | None = Field(default=None, index=True)
    provider_id: UUID | None = Field(default=None, index=True)
    proxy_host_id: UUID | None = Field(default=None, index=True)
    excluded_host_ids: tuple[UUID, ...] = Field(default=(), sa_type=Typed(tuple[UUID, ...]))
    batch_id: UUID | None = Field(default=None, index=True)
    vm_id: UUID | None = None
    attempt: int = 1
    priority: int = 5
    labels: dict[str, str] = Field(default_factory=dict, sa_type=Typed(dict[str, str]))
    start_after: datetime | None = Field(default=None, sa_type=UtcDateTime)
    queue_reason: str | None = None
    waiting_since: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    retry: Retry | None = Field(default=None, sa_type=Typed(Retry))
    troubled_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Since when turns fail for a reason that may go away; none when the last one went well."""
    troubles: int = 0
    """How many turns failed so, one after the other."""
    force_cancel: bool = False
    progress: Progress = Field(default_factory=Progress, sa_type=Typed(Progress))
    disk_progress: tuple[DiskProgress, ...] = Field(default=(), sa_type=Typed(tuple[DiskProgress, ...]))
    progress_seq: int = 0
    warnings: tuple[ConversionWarning, ...] = Field(default=(), sa_type=Typed(tuple[ConversionWarning, ...]))
    problem: Problem | None = Field(default=None, sa_type=Typed(Problem))
    created_by: str
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    version: int = 1
    published_version: int = 0
    """The last version that clients were told of; the sweep tells the rest."""
    worker_id: UUID | None = Field(default=None, index=True)
    """The worker whose turn runs now; none between turns."""
    turn: int = 0
    wakes: int = 0
    """Counts calls for a turn, so that one that came during a turn is not lost."""
    wake_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When the sweep is to wake it by itself."""


class ImportLabel(SQLModel, table=True):
    """The labels again, one a row, for `?label=k:v` on both databases."""

    __tablename__ = "import_labels"

    import_id: UUID = Field(foreign_key="vm_imports.id", primary_key=True, ondelete="CASCADE")
    key: str = Field(primary_key=True)
    value: str = Field(index=True)


class AttemptPublic(Shape):
    number: int
    proxy_host_id: UUID | None
    started_at: UtcTime
    finished_at: UtcTime | None
    outcome: str | None
    problem: Problem | None
