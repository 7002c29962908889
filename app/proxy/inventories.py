"""What a proxy host tells of the things on it that carry a marker."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict


class _Found(BaseModel):
    """`installation_id` is none in markers of older versions; `made_at` is in seconds of the host's clock."""

    model_config = ConfigDict(frozen=True)

    attempt_id: UUID
    installation_id: UUID | None
    size_bytes: int | None
    """What it takes on the disk; none when that took too long to find out."""
    made_at: float | None


class FoundAttempt(_Found):
    """An attempt's directories in the work directory, or processes that it left (then without a path)."""

    path: str | None
    running: bool


class FoundUpload(_Found):
    """An upload's directory in the work directory; its mark has the upload's id."""

    path: str


class FoundDirectory(_Found):
    """A marked directory on storage; `root` is the one of those asked for in which it lies."""

    root: str
    path: str


class UnreadRoot(BaseModel):
    """A storage directory that the host can't read."""

    model_config = ConfigDict(frozen=True)

    root: str
    detail: str


class Inventory(BaseModel):
    model_config = ConfigDict(frozen=True)

    attempts: tuple[FoundAttempt, ...]
    directories: tuple[FoundDirectory, ...]
    uploads: tuple[FoundUpload, ...]
    unread: tuple[UnreadRoot, ...]
    complete: bool
    """False when there is more than was asked for, or than could be looked at in time."""
