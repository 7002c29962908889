"""Shows an import on a terminal: a live bar for every disk and one for all."""

from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.cli import units
from app.cli.exits import ENDED
from app.cli.output import Json, Output
from app.cli.stream import Event
from app.cli.text import safe
from app.cli.views import heading

WIDEST = 110
STYLES = {"warning": "yellow", "error": "red"}


class BarsView:
    """The import's state, its disks and their total, redrawn in place; messages scroll above."""

    def __init__(self, output: Output) -> None:
        self._document: Json | None = None
        self._live = Live(console=output.console, get_renderable=self._render, refresh_per_second=5)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, event: Event, document: Json) -> None:
        self._document = document
        if event.kind == "message" and event.data["severity"] in STYLES:
            self._say(event.data["text"], STYLES[event.data["severity"]])
        if document["state"] in ENDED:
            self._live.refresh()

    def note(self, text: str) -> None:
        self._say(text, "dim")

    def _say(self, text: str, style: str) -> None:
        self._live.console.print(Text(safe(text), style=style))

    def _render(self) -> RenderableType:
        return bars(self._document) if self._document is not None else Text("")


def bars(document: Json) -> RenderableType:
    """The heading, then a line for each disk, then the total."""
    disks, progress = document["disk_progress"], document["progress"]
    grid = _grid()
    copying = [disk for disk in disks if disk["state"] == "copying"]
    for disk in disks:
        # The rate is the import's; it is one disk's only when no other is copied at the same time.
        alone = disk["state"] == "copying" and len(copying) == 1
        grid.add_row(*_disk_row(disk, progress["bytes_per_second"] if alone else None))
    if disks:
        grid.add_row(*_total_row(progress, is_running=document["state"] not in ENDED))
    title = Text(heading(document), style="bold")
    if progress["stalled_since"]:
        title.append("  no sign of life from virt-v2v", style="yellow")
    return Group(title, Constrain(grid, WIDEST)) if disks else title


def _grid() -> Table:
    """The bar takes what the other columns leave."""
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True, max_width=14)
    grid.add_column(ratio=1, min_width=8)
    for _ in range(4):
        grid.add_column(no_wrap=True, justify="right")
    return grid


def _disk_row(disk: Json, rate: float | None) -> list[RenderableType]:
    capacity, percent = disk["capacity_bytes"], disk["percent"]
    left = None
    if capacity is not None and percent is not None and rate:
        left = capacity * (100 - percent) / 100 / rate
    return [
        Text(safe(disk["label"])),
        _bar(percent, is_running=disk["state"] == "copying"),
        Text(units.percent(percent)),
        Text(units.size(capacity)),
        Text(units.rate(rate) if rate else ""),
        Text(f"{units.clock(left)} left" if left is not None else disk["state"]),
    ]


def _total_row(progress: Json, *, is_running: bool) -> list[RenderableType]:
    eta = progress["eta_seconds"]
    return [
        Text("total", style="bold"),
        _bar(progress["percent"], is_running=is_running),
        Text(units.percent(progress["percent"]), style="bold"),
        Text(units.part(progress["bytes_copied"], progress["bytes_total"])),
        Text(units.rate(progress["bytes_per_second"]) if is_running else ""),
        Text(f"{units.clock(eta)} left" if eta is not None and is_running else ""),
    ]


def _bar(percent: float | None, *, is_running: bool) -> ProgressBar:
    """A bar that moves to and fro while the percentage is unknown."""
    unknown = percent is None and is_running
    return ProgressBar(total=100, completed=percent or 0, pulse=unknown)
