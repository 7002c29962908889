"""Answers kept for `Idempotency-Key`."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from app.models.columns import UtcDateTime, now


class IdempotencyRecord(SQLModel, table=True):
    """One key of one token on one method and path; `answer` is sealed, and none while the first runs."""

    __tablename__ = "idempotency_records"

    token_id: UUID = Field(primary_key=True)
    method: str = Field(primary_key=True)
    path: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    body_hash: str
    status: int | None = None
    answer: bytes | None = None
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
