"""Server-sent events as bytes; an event is encoded once, however many clients it goes to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.events.cursor import Cursor, EventId

PING: Final = b": ping\n\n"
RETRY: Final = b"retry: 2000\n\n"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of an import. `mark` tells newer from older among those of its type and import."""

    id: EventId
    epoch: str
    added: int
    """Counts the events of this filling of Redis: a gap means that some were trimmed."""
    type: str
    """One of `EventType`, or one that a newer version of the program tells."""
    import_id: UUID
    mark: tuple[int, int]
    ended: bool
    labels: Mapping[str, str]
    frame: bytes

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.id, final_version=self.mark[0] if self.ended else None)


def event_of(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
    """The event that lies in an entry of a stream (see publish.lua)."""
    event_id, epoch = EventId.parse(entry_id), fields[b"epoch"].decode()
    mark = int(fields[b"major"]), int(fields[b"minor"])
    ended, name = fields[b"ended"] == b"1", fields[b"type"].decode()
    cursor = Cursor(epoch, event_id, final_version=mark[0] if ended else None)
    return Event(
        id=event_id,
        epoch=epoch,
        added=int(fields[b"added"]),
        type=name,
        import_id=UUID(fields[b"import_id"].decode()),
        mark=mark,
        ended=ended,
        labels=json.loads(fields[b"labels"]),
        frame=frame(name, fields[b"data"], cursor),
    )


def frame(name: str, data: bytes, cursor: Cursor) -> bytes:
    """`data` is JSON without a line end, as every JSON writer of ours makes it."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (name.encode(), str(cursor).encode(), data)
