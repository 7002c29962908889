"""Storage domains: the places that imported VMs go to, one destination kind each."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field as ShapeField
from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from app.errors import Problem
from app.models.columns import Typed, UtcDateTime, UtcTime, new_id, now
from app.models.common import Json, Patch, ResourceName, Shape, Slots


class DomainState(StrEnum):
    UNVERIFIED = "unverified"
    UP = "up"
    UNUSABLE = "unusable"


class DomainHostStatus(Shape):
    """How one proxy host sees the domain."""

    proxy_host_id: UUID
    usable: bool
    problem: Problem | None = None
    free_bytes: int | None = None
    total_bytes: int | None = None


class DomainStatus(Shape):
    state: DomainState = DomainState.UNVERIFIED
    problem: Problem | None = None
    checked_at: UtcTime | None = None
    free_bytes: int | None = None
    """The least that a usable proxy host sees."""
    total_bytes: int | None = None
    proxy_hosts: tuple[DomainHostStatus, ...] = ()


class StorageDomain(SQLModel, table=True):
    __tablename__ = "storage_domains"
    __table_args__ = (UniqueConstraint("data_center_id", "name"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    data_center_id: UUID = Field(foreign_key="data_centers.id", index=True)
    name: str
    kind: str
    settings: Json = Field(default_factory=dict, sa_type=Typed(Json))
    sealed_secrets: bytes | None = None
    max_concurrent_imports: int | None = None
    status: DomainStatus = Field(default_factory=DomainStatus, sa_type=Typed(DomainStatus))
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    version: int = 1


class StorageDomainCreateBase(Shape):
    """What every kind's create shape has; the kind adds `kind` and `settings`."""

    data_center_id: UUID
    name: ResourceName = ShapeField(examples=["store-1"])
    max_concurrent_imports: Slots | None = None
    """Null: no limit but the proxy hosts'."""


class StorageDomainPatch(Patch):
    NULLABLE = frozenset({"max_concurrent_imports"})

    name: ResourceName | None = None
    settings: Json | None = None
    """Merged into those that are there, then checked by the kind."""
    max_concurrent_imports: Slots | None = None


class StorageDomainPublic(Shape):
    """`settings` are those of the kind; `/v1/kinds` has their JSON Schema."""

    id: UUID
    data_center_id: UUID
    name: str
    kind: str
    settings: Json
    max_concurrent_imports: int | None
    status: DomainStatus
