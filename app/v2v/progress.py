"""Turns virt-v2v's events into progress: per disk, weighted by size, never backwards. Pure."""

from collections import deque
from typing import Final

from app.models.progress import DiskCopyState, DiskProgress, Progress
from app.v2v.output import DiskPercent, DiskStarted, Event, Stage

WINDOW_SECONDS: Final = 30.0
"""The rate is that of the last so many seconds, or of the last two points where they lie further apart."""
FEWEST_POINTS: Final = 2
"""So many points make a rate."""
SHORTEST_SECONDS: Final = 1.0
"""Two points that lie closer say nothing about the rate."""
AFTER_COPY: Final = frozenset({"creating_metadata", "finishing"})
MOST_DISKS: Final = 1000
"""So many are shown of those that only virt-v2v speaks of."""


class ProgressTracker:
    """The progress of one conversion. Goes on from what was saved; times are monotonic seconds.

    `bytes_copied` is computed from percents: virt-v2v counts no bytes. Without every disk's size there is no
    total, and no percent of the whole.
    """

    def __init__(self, disk_progress: tuple[DiskProgress, ...], progress: Progress) -> None:
        self.progress = progress
        self.disk_progress = disk_progress
        self._points: deque[tuple[float, int]] = deque()

    def apply(self, event: Event, at_seconds: float) -> bool:
        """Whether the event changed anything."""
        before = self.progress, self.disk_progress
        match event:
            case DiskStarted(number, of):
                self._start(number, of)
            case DiskPercent(number, percent):
                self._advance(number, percent)
            case Stage(name, _) if name in AFTER_COPY and self._has_begun():
                self._complete(len(self.disk_progress))
            case _:
                return False
        self._sum_up(at_seconds)
        return before != (self.progress, self.disk_progress)

    def _has_begun(self) -> bool:
        return any(disk.state is not DiskCopyState.PENDING for disk in self.disk_progress)

    def _start(self, number: int, of: int) -> None:
        known = len(self.disk_progress)
        self.disk_progress += tuple(
            DiskProgress(number=extra, label=f"disk {extra}")
            for extra in range(known + 1, min(of, MOST_DISKS) + 1)
        )
        self._complete(number - 1)
        self._advance(number, 0.0)

    def _complete(self, last: int) -> None:
        """Disks up to this number are copied: virt-v2v goes on only when one is whole."""
        copied = {"percent": 100.0, "state": DiskCopyState.COPIED}
        self.disk_progress = tuple(
            disk.model_copy(update=copied) if disk.number <= last else disk for disk in self.disk_progress
        )

    def _advance(self, number: int, percent: float) -> None:
        self.disk_progress = tuple(
            _advanced(disk, percent) if disk.number == number else disk for disk in self.disk_progress
        )

    def _sum_up(self, at_seconds: float) -> None:
        total = _total_bytes(self.disk_progress)
        if total is None or not self._has_begun():
            self.progress = Progress(bytes_total=total)
            return
        copied = max(_copied_bytes(self.disk_progress), self.progress.bytes_copied or 0)
        done = all(disk.state is DiskCopyState.COPIED for disk in self.disk_progress)
        rate = None if done else self._rate(at_seconds, copied)
        self.progress = Progress(
            percent=100.0 if done else round(100 * copied / total, 2) if total else None,
            bytes_copied=copied,
            bytes_total=total,
            bytes_per_second=rate,
            eta_seconds=round((total - copied) / rate, 1) if rate else None,
        )

    def _rate(self, at_seconds: float, copied: int) -> float | None:
        """Bytes per second over the window; None while it can't be told."""
        if not self._points or self._points[-1][1] != copied:
            self._points.append((at_seconds, copied))
        # One point before the window stays, for a percent of a large disk takes longer than the window.
        while len(self._points) > FEWEST_POINTS and self._points[1][0] <= at_seconds - WINDOW_SECONDS:
            self._points.popleft()
        began, first = self._points[0]
        took = at_seconds - began
        return round((copied - first) / took, 1) if took >= SHORTEST_SECONDS and copied > first else None


def _advanced(disk: DiskProgress, percent: float) -> DiskProgress:
    if disk.state is DiskCopyState.COPIED:
        return disk
    reached = max(disk.percent or 0.0, percent)
    return disk.model_copy(update={"percent": reached, "state": DiskCopyState.COPYING})


def _total_bytes(disks: tuple[DiskProgress, ...]) -> int | None:
    sizes = [disk.capacity_bytes for disk in disks]
    return None if any(size is None for size in sizes) or not sizes else sum(size or 0 for size in sizes)


def _copied_bytes(disks: tuple[DiskProgress, ...]) -> int:
    return sum(int((disk.capacity_bytes or 0) * (disk.percent or 0.0) / 100) for disk in disks)
