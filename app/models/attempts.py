"""Attempts at an import, and what they made, held and wrote."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.errors import Problem
from app.models.columns import Typed, UtcDateTime, UtcTime, new_id, now
from app.models.common import Json, Shape


class Outcome(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MOVED = "moved"
    """The host didn't hold the source, or didn't answer at all; the import went back to the queue."""


class Attempt(SQLModel, table=True):
    """One try on one proxy host. `facts` is what its steps found out, by name; see `jobs.step`."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("import_id", "number"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    import_id: UUID = Field(foreign_key="vm_imports.id", index=True, ondelete="CASCADE")
    number: int
    proxy_host_id: UUID | None = Field(default=None, index=True)
    storage_domain_id: UUID | None = None
    facts: Json = Field(default_factory=dict, sa_type=Typed(Json))
    followed: bool = Field(default=False, index=True)
    """virt-v2v runs (or its end has not been read): the host's watcher follows its log."""
    log_bytes: int = Field(default=0, sa_type=BigInteger)
    """How far the watcher has read virt-v2v's log on the host, in bytes of that log."""
    kept_bytes: int = Field(default=0, sa_type=BigInteger)
    """How many bytes of it are kept here, bars left out, secrets masked."""
    still_seconds: float = 0.0
    """For how long the watchers have surely seen virt-v2v neither write nor move data, when last saved."""
    io_bytes: int | None = Field(default=None, sa_type=BigInteger)
    """All that its processes had read and written then."""
    errors: tuple[str, ...] = Field(default=(), sa_type=Typed(tuple[str, ...]))
    """What virt-v2v said at severity `error`, in order: what a failure is explained by."""
    started_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    outcome: str | None = None
    abandoned: bool = False
    """It ended without being undone: what is left of it on the host is nobody's."""
    problem: Problem | None = Field(default=None, sa_type=Typed(Problem))


class Artifact(SQLModel, table=True):
    """Something an attempt makes outside our database; recorded before it is made, removed in reverse."""

    __tablename__ = "artifacts"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    attempt_id: UUID = Field(foreign_key="attempts.id", index=True, ondelete="CASCADE")
    kind: str
    details: Json = Field(default_factory=dict, sa_type=Typed(Json))
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Reservation(SQLModel, table=True):
    """The slot and the bytes that a running attempt holds; gone in the transaction that ends it."""

    __tablename__ = "reservations"

    attempt_id: UUID = Field(foreign_key="attempts.id", primary_key=True, ondelete="CASCADE")
    import_id: UUID = Field(index=True)
    proxy_host_id: UUID = Field(index=True)
    storage_domain_id: UUID | None = Field(default=None, index=True)
    provider_id: UUID | None = Field(default=None, index=True)
    work_bytes: int = Field(default=0, sa_type=BigInteger)
    """Bytes that the attempt will need in the host's work directory."""
    target_bytes: int = Field(default=0, sa_type=BigInteger)
    """Bytes that the attempt will need on the storage domain."""


class LogChunk(SQLModel, table=True):
    """A piece of an attempt's kept log: bytes [offset, offset + length), zlib-compressed."""

    __tablename__ = "log_chunks"

    attempt_id: UUID = Field(foreign_key="attempts.id", primary_key=True, ondelete="CASCADE")
    offset: int = Field(primary_key=True, sa_type=BigInteger)
    length: int
    data: bytes


class TimelineEntry(SQLModel, table=True):
    """What happened to an import, and when."""

    __tablename__ = "timeline"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    import_id: UUID = Field(foreign_key="vm_imports.id", index=True, ondelete="CASCADE")
    attempt: int
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    kind: str
    details: Json = Field(default_factory=dict, sa_type=Typed(Json))


class TimelineItem(Shape):
    at: UtcTime
    kind: str
    """An open list."""
    attempt: int
    details: Json
    """By kind."""
