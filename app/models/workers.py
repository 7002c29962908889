"""Workers: who holds turns and watchers, and whether they are alive."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from app.models.columns import UtcDateTime, new_id, now


class Worker(SQLModel, table=True):
    """A worker process; dead when `beat` hasn't moved for 8 s of the observer's monotonic clock."""

    __tablename__ = "workers"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    host_name: str
    process_id: int
    beat: int = 0
    started_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
