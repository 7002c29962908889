"""Imports: one VM on its way in. The shapes that name a source kind stand in `services.specs`."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field as ShapeField
from pydantic import SecretStr, StrictBool, StringConstraints, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.errors import Problem
from app.models.columns import Typed, UtcDateTime, UtcTime, Word, new_id, now
from app.models.common import (
    NO_CONTROL,
    Description,
    Json,
    Matching,
    NamesMatching,
    NoNul,
    Number,
    Patch,
    Plain,
    ResourceName,
    Shape,
)
from app.models.progress import DiskProgress, Progress
from app.models.state import ImportState, StepName


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
    """Unique in the data center."""
    cpu_count: Annotated[int, ShapeField(ge=1, le=4096), Number] | None = None
    memory_bytes: Annotated[int, ShapeField(ge=2**20, le=2**50), Number] | None = None
    os: Annotated[str, StringConstraints(max_length=255), Plain] | None = None
    description: Description | None = None


class DiskDefaults(Shape):
    format: DiskFormat = DiskFormat.RAW
    allocation: Allocation = Allocation.SPARSE


class DiskProperties(Shape):
    source_disk_id: Annotated[str, StringConstraints(min_length=1, max_length=1024), NoNul]
    """The target device in libvirt XML (`sda`), the `diskId` in an OVF, `disk-1` for a single image."""
    include: StrictBool = True
    """False leaves the disk out."""
    format: DiskFormat | None = None
    allocation: Allocation | None = None
    storage_domain_id: UUID | None = None
    bus: Annotated[str, StringConstraints(max_length=64), Plain] | None = None
    """As the guest is to see it, such as `virtio`. For copies: conversions go by the guest's drivers."""


Mac = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$")]


class NicMap(Shape):
    """Where the source's NICs go: those of one network, or the one with that MAC address."""

    network: ResourceName | None = None
    """Of the source; exactly one of this and `mac`."""
    mac: Mac | None = None
    """Of the source's NIC."""
    target: ResourceName
    """The network at the destination."""
    mac_policy: MacPolicy = MacPolicy.KEEP
    """`new`: a MAC address of its own."""

    @model_validator(mode="after")
    def _one_of_the_two(self) -> "NicMap":
        if (self.network is None) == (self.mac is None):
            raise PydanticCustomError("exactly_one", "Give exactly one of `network` and `mac`")
        return self


Root = Annotated[
    str,
    StringConstraints(max_length=255),
    Matching(rf"^(first|single|/dev/{NO_CONTROL}*)$", "`first`, `single` or a device such as `/dev/sda2`"),
]


Seconds = Annotated[int, ShapeField(ge=1, le=10**9), Number]


FIRST_ROOT: Final = "first"


class ConversionProperties(Shape):
    mode: ConversionMode = ConversionMode.CONVERT
    """`copy`: the disks as they are, nothing changed in the guest; the default for `export_domain`."""
    root: Root = FIRST_ROOT
    """`first`, `single` or a device: which system of several to convert. Not for copies."""
    luks_keys: tuple[SecretStr, ...] = ShapeField(default=(), max_length=64)
    """Passphrases for encrypted disks. Not for copies."""
    debug: StrictBool = False
    """virt-v2v tells far more in its log. Not for copies."""
    stall_limit_seconds: Seconds | None = None
    """Fail (`stalled`) when virt-v2v neither writes nor moves data for so long; null: the setting's."""
    time_limit_seconds: Seconds | None = None
    """Fail (`time_limit_exceeded`) when virt-v2v runs for longer; null: however long it takes."""

    @property
    def is_copy(self) -> bool:
        return self.mode is ConversionMode.COPY


LabelKey = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9._/\-]+$")]
LabelValue = Annotated[str, StringConstraints(max_length=255), Plain]
MOST_LABELS = 64
Labels = Annotated[dict[LabelKey, LabelValue], ShapeField(max_length=MOST_LABELS), NamesMatching()]
ConcernCode = Annotated[str, StringConstraints(max_length=128), Plain]
Priority = Annotated[int, ShapeField(ge=0, le=9), Number]


class ImportProperties(Shape):
    """Everything of an import request but its source."""

    storage_domain_id: UUID | None = None
    """Where the VM goes; exactly one of this and `data_center_id`."""
    data_center_id: UUID | None = None
    """Where the VM goes, on any storage domain that suits."""
    proxy_host_id: UUID | None = None
    """Null: chosen by ability, room and load."""
    vm: VmProperties = VmProperties()
    disk_defaults: DiskDefaults = DiskDefaults()
    """For what `disks` does not say."""
    disks: tuple[DiskProperties, ...] = ShapeField(default=(), max_length=1000)
    """Those that are to differ from `disk_defaults`."""
    nics: tuple[NicMap, ...] = ShapeField(default=(), max_length=1000)
    """A NIC that none fits keeps its network."""
    conversion: ConversionProperties = ConversionProperties()
    priority: Priority = 5
    """9 goes first; waiting raises it."""
    start_after: UtcTime | None = None
    """Not before this time."""
    labels: Labels = ShapeField(default_factory=dict)
    """For filters of lists and streams."""
    keep_on_failure: StrictBool = False
    """What a failed attempt made stays, for somebody to look at."""
    accept_concerns: tuple[ConcernCode, ...] = ShapeField(default=(), max_length=1000)
    """Codes of critical concerns that are not to stop the import."""


class ImportPatch(Patch):
    NULLABLE = frozenset({"start_after"})

    priority: Priority | None = None
    labels: (
        Annotated[dict[LabelKey, LabelValue | None], ShapeField(max_length=MOST_LABELS), NamesMatching()]
        | None
    ) = None
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
    """From 1."""
    reason: str
    """Why it waits, as a sentence."""


class Direction(StrEnum):
    FORWARD = "forward"
    BACK = "back"
    AGAIN = "again"
    """Back, and forward again with another attempt."""


class VmImport(SQLModel, table=True):
    """The truth about an import. Saved only `WHERE id AND turn` by turns; `version` counts its changes."""

    __tablename__ = "vm_imports"
    __table_args__ = (Index("ix_vm_imports_due", "state", "wake_at"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    state: str = Field(
        default=ImportState.QUEUED, index=True, sa_type=Word(ImportState, otherwise=ImportState.FAILED)
    )
    step: str | None = Field(default=None, sa_type=Word(StepName))
    stage: str | None = None
    direction: str = Field(default=Direction.FORWARD, sa_type=Word(Direction, otherwise=Direction.BACK))
    spec: Json = Field(sa_type=Typed(Json, otherwise=dict))
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
    waiting_since: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    retry: Retry | None = Field(default=None, sa_type=Typed(Retry))
    troubled_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Since when turns fail for a reason that may go away; none when the last one went well."""
    troubles: int = 0
    """How many turns failed so, one after the other."""
    automatic_retries: int = 0
    """How many attempts were begun without being asked for, since somebody last asked."""
    next_attempt_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Between two attempts: not before this time. The import is `running` and holds nothing."""
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
    """From 1."""
    proxy_host_id: UUID | None
    started_at: UtcTime
    finished_at: UtcTime | None
    outcome: str | None
    """`succeeded`, `failed`, `cancelled` or `moved`; null while it runs."""
    problem: Problem | None
