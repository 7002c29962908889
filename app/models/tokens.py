"""API tokens: shown once, stored hashed; and stream tickets, good for one path."""

from datetime import datetime
from uuid import UUID

from pydantic import Field as ShapeField
from sqlmodel import Field, SQLModel

from app.models.columns import UtcDateTime, UtcTime, Word, new_id, now
from app.models.common import ResourceName, Shape
from app.models.state import Role


class ApiToken(SQLModel, table=True):
    __tablename__ = "api_tokens"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str
    role: str = Field(sa_type=Word(Role, otherwise=Role.VIEWER))
    token_hash: str = Field(unique=True, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    version: int = 1


class ApiTokenCreate(Shape):
    name: ResourceName = ShapeField(examples=["night shift"])
    role: Role = ShapeField(examples=[Role.OPERATOR])
    """`viewer` reads, `operator` also imports, `admin` also configures."""
    expires_at: UtcTime | None = None
    """Null: never."""


class ApiTokenPublic(Shape):
    id: UUID
    name: str
    role: Role
    created_at: UtcTime
    expires_at: UtcTime | None
    revoked_at: UtcTime | None


class ApiTokenCreated(ApiTokenPublic):
    """The only answer that ever holds the token itself."""

    token: str
    """Shown this once."""


class StreamTicket(SQLModel, table=True):
    __tablename__ = "stream_tickets"

    ticket_hash: str = Field(primary_key=True)
    token_id: UUID = Field(foreign_key="api_tokens.id", index=True)
    path: str
    expires_at: datetime = Field(sa_type=UtcDateTime)


_UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
STREAM_PATH = rf"/v1/events|/v1/imports/{_UUID}/events"
"""The paths of event streams: what a ticket can be for."""


class StreamTicketCreate(Shape):
    """A query part of the path is left out: the ticket is good for the stream with every filter."""

    path: str = ShapeField(
        max_length=2048,
        examples=["/v1/events"],
        json_schema_extra={"pattern": rf"^({STREAM_PATH})(\?.*)?$"},
    )


class StreamTicketCreated(Shape):
    ticket: str
    """For `?ticket=` of the path."""
    expires_at: UtcTime
