"""Reads server-sent events from bytes: pure, incremental, the same events for any split."""

import codecs
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    """One event; `id` is the newest cursor that the stream had given when it came."""

    event: str
    data: str
    id: str | None


class EventReader:
    """Keeps what is not whole yet between two pieces of a stream (WHATWG HTML, 9.2.6)."""

    def __init__(self) -> None:
        self.retry_seconds: float | None = None
        """How long the server asks to wait before a reconnect."""
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._rest = ""
        self._after_return = False
        self._event = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """The events that this piece completes."""
        events = []
        for line in self._lines(self._decoder.decode(piece)):
            if line:
                self._take(line)
            elif self._data:
                events.append(self._whole())
            else:
                self._event = ""
        return events

    def _lines(self, text: str) -> list[str]:
        # A line may end in CR, LF or both; an LF that follows a CR of the piece before ends nothing.
        if self._after_return and text:
            text = text.removeprefix("\n")
            self._after_return = False
        self._after_return = self._after_return or text.endswith("\r")
        *lines, self._rest = (self._rest + text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
        return lines

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_seconds = int(value) / 1000

    def _whole(self) -> ServerEvent:
        event = ServerEvent(self._event or "message", "\n".join(self._data), self._id)
        self._data, self._event = [], ""
        return event
