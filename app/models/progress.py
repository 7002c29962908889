"""Progress of a conversion, as clients see it; null means unknown, never a false 0."""

from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from app.models.columns import UtcTime


class DiskCopyState(StrEnum):
    PENDING = "pending"
    COPYING = "copying"
    COPIED = "copied"


class Progress(BaseModel):
    """The whole import's progress; `percent` is 0..100, weighted by disk size."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    percent: float | None = None
    """0 to 100, weighted by disk size, never backwards."""
    bytes_copied: int | None = None
    bytes_estimated: bool = True
    """Whether `bytes_copied` is computed from percents rather than counted."""
    bytes_total: int | None = None
    """The virtual sizes of all disks."""
    bytes_per_second: float | None = None
    eta_seconds: float | None = None
    stalled_since: UtcTime | None = None
    """Since when virt-v2v neither writes nor reads."""


class DiskProgress(BaseModel):
    """One disk's progress; `number` counts from 1 in the order of the copy."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    number: int
    """From 1, in the order of the copy."""
    label: str
    """As the source names it."""
    capacity_bytes: int | None = None
    percent: float | None = None
    state: DiskCopyState = DiskCopyState.PENDING
    disk_id: UUID | None = None
    """The disk in `/v1/disks`."""
