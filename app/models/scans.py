"""Scans: looks into a source before something of it is imported."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlmodel import Field, SQLModel

from app.errors import Problem
from app.models.columns import Typed, UtcDateTime, new_id, now
from app.models.common import Json


class ScanState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


LIVE_SCANS = (ScanState.QUEUED, ScanState.RUNNING)


class Scan(SQLModel, table=True):
    """A scan, and what it found. A worker holds it while it looks; one that dies gives it up."""

    __tablename__ = "scans"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    proxy_host_id: UUID = Field(index=True)
    source: Json = Field(default_factory=dict, sa_type=Typed(Json))
    deep: bool = False
    state: str = Field(default=ScanState.QUEUED, index=True)
    found: tuple[Json, ...] = Field(default=(), sa_type=Typed(tuple[Json, ...]))
    """Its items, once it has ended."""
    complete: bool = True
    problem: Problem | None = Field(default=None, sa_type=Typed(Problem))
    created_by: str
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    worker_id: UUID | None = Field(default=None, index=True)
    turn: int = 0
    """How often a worker has begun with it."""
    forgotten: bool = False
    """Deleted while it ran: clients don't see it any more, and it ends as soon as its worker hears of it."""
    version: int = 1
