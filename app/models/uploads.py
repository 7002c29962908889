"""Uploads: files that clients bring to a proxy host with the tus protocol."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.models.columns import UtcDateTime, UtcTime, new_id, now
from app.models.common import Shape


class UploadState(StrEnum):
    RECEIVING = "receiving"
    COMPLETE = "complete"
    LOST = "lost"
    """The proxy host doesn't have it any more."""
    EXPIRED = "expired"


HELD = (UploadState.RECEIVING, UploadState.COMPLETE)
"""The states in which the file is on its host, and is to stay there."""


class Upload(SQLModel, table=True):
    """The record of a file; how far the file itself has come, only its host knows for sure."""

    __tablename__ = "uploads"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    file_name: str
    metadata_text: str
    """The `Upload-Metadata` that it was made with."""
    length_bytes: int = Field(sa_type=BigInteger)
    offset_bytes: int = Field(default=0, sa_type=BigInteger)
    """As far as it had come when it was looked at last."""
    state: str = Field(default=UploadState.RECEIVING, index=True)
    proxy_host_id: UUID = Field(index=True)
    created_by: str
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    on_host: bool = True
    """There may be something of it on the host."""
    forgotten: bool = Field(default=False, index=True)
    """Terminated, or imported: clients don't see it any more, and the sweep removes what is left."""
    version: int = 1


class UploadPublic(Shape):
    id: UUID
    file_name: str
    """As the client named it."""
    length_bytes: int
    offset_bytes: int
    """How much the proxy host has, when it was looked at last."""
    state: UploadState
    proxy_host_id: UUID
    """Where the file lies; an import of it runs there."""
    created_by: str
    """The name of the token."""
    created_at: UtcTime
    expires_at: UtcTime
    """When it is removed, unless it grows or is imported; whatever comes for it moves this on."""
