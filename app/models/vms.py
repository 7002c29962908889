"""VMs and their disks: locked while an import fills them, then as virt-v2v left them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.errors import Problem
from app.models.columns import Typed, UtcDateTime, Word, new_id, now
from app.models.common import Json, Shape
from app.models.vm import Firmware, SourceNic


class VmState(StrEnum):
    LOCKED = "locked"
    DOWN = "down"
    ILLEGAL = "illegal"


class DiskState(StrEnum):
    LOCKED = "locked"
    OK = "ok"
    ILLEGAL = "illegal"


class Vm(SQLModel, table=True):
    __tablename__ = "vms"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str
    description: str = ""
    state: str = Field(default=VmState.LOCKED, sa_type=Word(VmState, otherwise=VmState.ILLEGAL))
    data_center_id: UUID = Field(foreign_key="data_centers.id", index=True)
    storage_domain_id: UUID = Field(foreign_key="storage_domains.id", index=True)
    import_id: UUID | None = Field(default=None, index=True)
    cpu_count: int | None = None
    memory_bytes: int | None = Field(default=None, sa_type=BigInteger)
    os: str | None = None
    firmware: str | None = Field(default=None, sa_type=Word(Firmware))
    nics: tuple[SourceNic, ...] = Field(default=(), sa_type=Typed(tuple[SourceNic, ...]))
    metadata_type: str | None = None
    metadata_text: str | None = Field(default=None, sa_type=Text)
    made: Json = Field(default_factory=dict, sa_type=Typed(Json))
    """What the destination needs to remove the VM's disks again."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    version: int = 1


class VmName(SQLModel, table=True):
    """A VM name taken in a data center: by a live import, then by its VM."""

    __tablename__ = "vm_names"
    __table_args__ = (UniqueConstraint("data_center_id", "name"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    data_center_id: UUID = Field(foreign_key="data_centers.id")
    name: str
    import_id: UUID | None = Field(default=None, index=True)
    vm_id: UUID | None = Field(default=None, index=True)


class Disk(SQLModel, table=True):
    __tablename__ = "disks"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    vm_id: UUID = Field(foreign_key="vms.id", index=True)
    number: int
    alias: str
    state: str = Field(default=DiskState.LOCKED, sa_type=Word(DiskState, otherwise=DiskState.ILLEGAL))
    capacity_bytes: int = Field(sa_type=BigInteger)
    actual_bytes: int | None = Field(default=None, sa_type=BigInteger)
    format: str
    allocation: str
    bus: str | None = None
    proxy_host_id: UUID | None = None
    path: str | None = None
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    version: int = 1


class VmPublic(Shape):
    id: UUID
    name: str
    description: str
    state: VmState
    """`locked` while an import fills it; `illegal` when it could be removed only in part."""
    data_center_id: UUID
    storage_domain_id: UUID
    import_id: UUID | None
    cpu_count: int | None
    memory_bytes: int | None
    os: str | None
    """As virt-v2v found it."""
    firmware: Firmware | None
    nics: tuple[SourceNic, ...]
    disk_ids: tuple[UUID, ...]
    problem: Problem | None
    """What of the VM's record can't be read, if anything."""


class DiskLocation(Shape):
    """Where the disk lies; no proxy host means the same path on each of the data center."""

    proxy_host_id: UUID | None
    path: str | None


class DiskPublic(Shape):
    id: UUID
    vm_id: UUID
    alias: str
    state: DiskState
    capacity_bytes: int
    actual_bytes: int | None
    """What it takes on the storage domain; null while it is filled."""
    format: str
    allocation: str
    bus: str | None
    location: DiskLocation
