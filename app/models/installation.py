"""This installation of the service: one database, and all the processes that work on it."""

from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from app.models.columns import new_id

ONLY: int = 1


class Installation(SQLModel, table=True):
    """The one row that the migration makes. Its id marks what we make on other machines."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint(f"number = {ONLY}", name="ck_installation_only"),)

    number: int = Field(default=ONLY, primary_key=True)
    id: UUID = Field(default_factory=new_id)
