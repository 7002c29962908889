"""Follows the logs of the host's attempts over one channel.

Commands come as JSON lines on standard input: `{"follow": attempt, "offset": n}`, `{"unfollow": attempt}`.
Frames go out as a JSON line, followed by as many bytes as its `size` says. Ends with its standard input.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

from app.proxy.agent import processes
from app.proxy.agent.attempts import ABSENT, EXITED, LOST, status_of
from app.proxy.agent.places import Place
from app.proxy.agent.refusals import RefusedError

POLL_SECONDS = 0.05
BEAT_SECONDS = 2.0
ACTIVITY_SECONDS = 5.0
CHUNK_BYTES = 65_536
STUCK_SECONDS = 120
"""A reader that takes nothing for so long is gone; without this its watch would hang for ever."""


class Follow:
    """One followed attempt: how far its log was sent, and the I/O of its processes, those gone included."""

    def __init__(self, place: Place, offset: int) -> None:
        self.place = place
        self.offset = offset
        self.counts: dict[int, int] = {}
        self.gone_bytes = 0

    def count(self, pids: list[int]) -> int:
        """All I/O so far; it never falls."""
        for pid in set(self.counts) - set(pids):
            self.gone_bytes += self.counts.pop(pid)
        for pid in pids:
            self.counts[pid] = max(self.counts.get(pid, 0), processes.io_bytes(pid))
        return self.gone_bytes + sum(self.counts.values())


class Watch:
    """One run of `watch`."""

    def __init__(self, work_dir: str) -> None:
        self.work_dir = work_dir
        self.follows: dict[str, Follow] = {}
        self.unread = b""
        self.beat_at = self.activity_at = 0.0

    def run(self) -> None:
        more = False
        while self._hear(0 if more else POLL_SECONDS):
            signal.alarm(STUCK_SECONDS)
            more = self._tell_logs()
            now = time.monotonic()
            if now >= self.activity_at:
                self.activity_at = now + ACTIVITY_SECONDS
                self._tell_activity()
            if now >= self.beat_at:
                self.beat_at = now + BEAT_SECONDS
                _send({"kind": "beat"})

    def _hear(self, wait_seconds: float) -> bool:
        """Take commands; false when no more can come."""
        if not select.select([0], [], [], wait_seconds)[0]:
            return True
        data = os.read(0, CHUNK_BYTES)
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
        return bool(data)

    def _obey(self, command: dict[str, object]) -> None:
        if "unfollow" in command:
            self.follows.pop(str(command["unfollow"]), None)
            return
        attempt_id, offset = str(command["follow"]), command["offset"]
        if not isinstance(offset, int):
            raise RefusedError("An offset is a number.")
        self.follows[attempt_id] = Follow(Place(self.work_dir, attempt_id), offset)
        # The first count is what later ones are compared with.
        self.activity_at = 0.0

    def _tell_logs(self) -> bool:
        """Send what is new, a chunk for each attempt in turn; whether there is more."""
        more = False
        for attempt_id, follow in list(self.follows.items()):
            # The status first: what was written before the end is then surely seen.
            status = status_of(follow.place)
            if _tell_log(attempt_id, follow):
                more = True
            elif _is_over(status):
                _send({"kind": "ended", "attempt_id": attempt_id, "status": status})
                del self.follows[attempt_id]
        return more

    def _tell_activity(self) -> None:
        if not self.follows:
            return
        running = processes.by_attempt()
        for attempt_id, follow in self.follows.items():
            total = follow.count(running.get(attempt_id, []))
            _send({"kind": "activity", "attempt_id": attempt_id, "io_bytes": total})


def _is_over(status: dict[str, object]) -> bool:
    """Nothing more will come; also when it was stopped before it was started."""
    never = bool(status["stopped"]) and status["state"] == "created"
    return never or status["state"] in {ABSENT, EXITED, LOST}


def _tell_log(attempt_id: str, follow: Follow) -> bool:
    data = _read(follow)
    if data:
        _send({"kind": "log", "attempt_id": attempt_id, "offset": follow.offset}, data)
        follow.offset += len(data)
    return bool(data)


def _read(follow: Follow) -> bytes:
    """What is new; nothing of a log that isn't there or can't be read: the others are told all the same."""
    try:
        fd = os.open(follow.place.log, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.pread(fd, CHUNK_BYTES, follow.offset)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _send(header: dict[str, object], data: bytes = b"") -> None:
    line = json.dumps({**header, "size": len(data)}).encode()
    sys.stdout.buffer.write(line + b"\n" + data)
    sys.stdout.buffer.flush()


def watch(work_dir: str) -> None:
    try:
        Watch(work_dir).run()
    except BrokenPipeError:
        # Nobody listens any more. Python would complain once more at its end.
        os._exit(0)
