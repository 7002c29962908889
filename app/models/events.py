"""What event streams carry besides whole imports."""

from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from app.models.columns import UtcTime
from app.models.progress import DiskProgress, Progress


class EventType(StrEnum):
    """The events that a client may choose from; `snapshot`, `resync` and `bye` come by themselves."""

    IMPORT = "import"
    PROGRESS = "progress"
    MESSAGE = "message"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ProgressEvent(BaseModel):
    """The whole current progress of an import; newer means a higher `(attempt, seq)`."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    import_id: UUID
    attempt: int
    seq: int
    """Counts within the attempt."""
    at: UtcTime
    progress: Progress
    disk_progress: tuple[DiskProgress, ...]


class MessageEvent(BaseModel):
    """Something that virt-v2v said, or that the service has to say about an attempt."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    import_id: UUID
    attempt: int
    at: UtcTime
    severity: Severity
    code: str | None
    """Stable, where the service says it."""
    text: str


class ByeEvent(BaseModel):
    """The server ends the stream; connect again with the last cursor."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    reason: str


class ResyncEvent(BaseModel):
    """What was missed can't be told any more; a snapshot follows and replaces all that was known."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    reason: str
