"""What events carry, as schemas of the OpenAPI document."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from app.models.events import ByeEvent, MessageEvent, ProgressEvent, ResyncEvent
from app.services.specs import VmImportPublic

MEDIA_TYPE: Final = "text/event-stream"
EXTENSION: Final = "x-sse-event"
EXAMPLE: Final = (
    "retry: 2000\n\n"
    "event: progress\n"
    "id: NWYxZDdhMWIyYzNkNGU1Zi4xNzY3MzIzMDQ1Njc4LTA\n"
    'data: {"import_id":"0196f1d2-7c1e-7000-8000-000000000001","attempt":1,"seq":7,'
    '"at":"2026-01-02T03:04:05.678Z","progress":{"percent":42.5,"bytes_copied":4563402752,'
    '"bytes_estimated":true,"bytes_total":10737418240,"bytes_per_second":104857600.0,"eta_seconds":59.0,'
    '"stalled_since":null},"disk_progress":[{"number":1,"label":"sda","capacity_bytes":10737418240,'
    '"percent":42.5,"state":"copying","disk_id":"0196f1d2-7c1e-7000-8000-000000000002"}]}\n\n'
    ": ping\n\n"
)


class ImportSnapshot(BaseModel):
    """The imports of a stream as they are now; a wide one comes in several frames."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    imports: tuple[VmImportPublic, ...]
    complete: bool
    """Whether this is the last frame."""


class StreamEvents(BaseModel):
    """The events of a stream by name, with what each one's `data` holds (as JSON)."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    snapshot: ImportSnapshot
    resync: ResyncEvent
    import_: VmImportPublic = Field(alias="import")
    progress: ProgressEvent
    message: MessageEvent
    bye: ByeEvent


def describe_streams(document: dict[str, Any]) -> None:
    """Make streams strings that name their events: `x-sse-event` maps an event to its payload's schema."""
    events: dict[str, Any] = document["components"]["schemas"][StreamEvents.__name__]["properties"]
    for path in document["paths"].values():
        for operation in path.values():
            content = operation.get("responses", {}).get("200", {}).get("content", {})
            if MEDIA_TYPE in content:
                content[MEDIA_TYPE] = {"schema": {"type": "string"}, "example": EXAMPLE, EXTENSION: events}
