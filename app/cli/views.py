"""Shows an import while it runs: JSON lines for scripts, plain lines for a pipe. Bars: see bars.py."""

from types import TracebackType
from typing import Protocol, Self

from app.cli import units
from app.cli.output import Json, Output
from app.cli.stream import Event
from app.cli.text import safe

TENTH = 10


class View(Protocol):
    """What follows an import on a screen or in a file."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, event: Event, document: Json) -> None:
        """An event has come; `document` is the import as it is now."""

    def note(self, text: str) -> None:
        """Something about the watching itself."""


class Still:
    """A view that needs no screen to be prepared and put back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class JsonView(Still):
    """Every event as one line of JSON."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def show(self, event: Event, document: Json) -> None:  # noqa: ARG002  the event says it all
        self._output.json_line({"event": event.kind, "id": event.cursor, "data": event.data})

    def note(self, text: str) -> None:
        self._output.note(text)


class LinesView(Still):
    """One line for every state, stage and tenth of a disk."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._said = ""
        self._tenths: dict[int, int] = {}

    def show(self, event: Event, document: Json) -> None:
        said = heading(document)
        if said != self._said:
            self._said = said
            self._output.line(said)
        if event.kind == "message":
            self._message(event.data)
        for disk in document["disk_progress"]:
            self._disk(disk, document)

    def note(self, text: str) -> None:
        self._output.note(text)

    def _message(self, data: Json) -> None:
        if data["severity"] != "info":
            self._output.line(f"{data['severity']}: {safe(data['text'])}")

    def _disk(self, disk: Json, document: Json) -> None:
        number, tenth = disk["number"], int((disk["percent"] or 0) // TENTH)
        if disk["state"] == "pending" or tenth <= self._tenths.get(number, -1):
            return
        self._tenths[number] = tenth
        progress, of = document["progress"], len(document["disk_progress"])
        self._output.line(
            f"disk {number}/{of} {safe(disk['label'])}: {units.percent(disk['percent'])}"
            f" of {units.size(disk['capacity_bytes'])}, {units.rate(progress['bytes_per_second'])},"
            f" total {units.percent(progress['percent'])}, {units.duration(progress['eta_seconds'])} left"
        )


def heading(document: Json) -> str:
    """Where the import stands, in one line."""
    queue = document.get("queue")
    if queue:
        return f"queued: number {queue['position']}. {safe(queue['reason'])}"
    parts = [document["state"], document["step"], document["stage"]]
    return " · ".join(safe(part).replace("_", " ") for part in parts if part)
