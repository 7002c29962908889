"""Data centers: where proxy hosts and storage domains belong, and where VM names are unique."""

from datetime import datetime
from uuid import UUID

from pydantic import Field as ShapeField
from sqlmodel import Field, SQLModel

from app.errors import Problem
from app.models.columns import Typed, UtcDateTime, new_id, now
from app.models.common import Description, Patch, ResourceName, Shape


class Network(Shape):
    name: ResourceName
    description: Description = ""


class DataCenter(SQLModel, table=True):
    __tablename__ = "data_centers"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str = Field(unique=True)
    description: str = ""
    networks: tuple[Network, ...] = Field(default=(), sa_type=Typed(tuple[Network, ...]))
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    version: int = 1


class DataCenterCreate(Shape):
    name: ResourceName = ShapeField(examples=["north"])
    description: Description = ""
    networks: tuple[Network, ...] = ShapeField(default=(), max_length=1000)


class DataCenterPatch(Patch):
    name: ResourceName | None = None
    description: Description | None = None
    networks: tuple[Network, ...] | None = ShapeField(default=None, max_length=1000)
    """All of them: the list is replaced."""


class DataCenterPublic(Shape):
    id: UUID
    name: str
    description: str
    networks: tuple[Network, ...]
    problem: Problem | None
    """What of the data center's record can't be read, if anything."""
