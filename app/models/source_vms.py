"""Source VMs as clients see them: what is known of one, and whether it can be imported."""

from pydantic import BaseModel, ConfigDict

from app.models.common import Shape
from app.models.vm import Concern, Firmware, Guest, PowerState, SourceNic, VmConfig


class SourceVmSummary(Shape):
    """A VM at its source; what is null is not known."""

    id: str
    """The source's own."""
    name: str
    path: str | None = None
    """Where it lies at its source."""
    state: PowerState = PowerState.UNKNOWN
    cpu_count: int | None = None
    memory_bytes: int | None = None
    firmware: Firmware | None = None
    os: str | None = None
    disk_count: int | None = None
    capacity_bytes: int | None = None
    concerns: tuple[Concern, ...] = ()
    """Those known so far."""
    importable: bool | None = None
    """False: a critical concern stands in the way. Null: the VM has to be looked at first."""


class SourceVmDisk(Shape):
    id: str
    """For `disks[].source_disk_id` of an import."""
    label: str
    capacity_bytes: int | None
    used_bytes: int | None
    format: str | None
    bus: str | None


class SourceVm(SourceVmSummary):
    """One VM with its disks and NICs."""

    has_snapshots: bool | None = None
    disks: tuple[SourceVmDisk, ...] = ()
    nics: tuple[SourceNic, ...] = ()
    guest: Guest | None = None
    """What a deep scan found in the guest."""


class ListedVm(BaseModel):
    """A VM as a provider lists it, however much of it the list tells."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    config: VmConfig
    is_whole: bool = False
    """Whether the config has the disks and NICs, and with them all that the rules of concerns look at."""
    path: str | None = None
    disk_count: int | None = None
    """Where the config has no disks."""
    capacity_bytes: int | None = None
    """Where the config has no disks."""
