"""The service's own processes in a chaos run: `up` with its children, and a second worker."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.children import children_running


class Program:
    """One `v2v-import …` process, its output appended to a log."""

    def __init__(self, *words: str, environment: Mapping[str, str], log: Path) -> None:
        self._words, self._environment, self._log = words, environment, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "app.cli", *self._words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment},
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def end(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 15) -> float:
        """Signal it and wait; answers how long it took. Raises TimeoutError."""
        began = time.monotonic()
        if self._process is not None:
            self._process.send_signal(number)
            try:
                await asyncio.to_thread(self._process.wait, seconds)
            except subprocess.TimeoutExpired as error:
                raise TimeoutError(f"{self._words[0]!r} did not end within {seconds:g} s.") from error
            self._process = None
        return time.monotonic() - began

    def children(self, name: str) -> list[int]:
        """Its child processes that run `v2v-import NAME`."""
        return children_running(self.pid, name)


class Clock:
    """A wall clock of one's own for some processes, through libfaketime; their monotonic clock stays true."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.jump(0)

    def jump(self, seconds: float) -> None:
        """Let the clock be so far ahead of the true time (behind, when negative)."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{seconds:+g}\n")
        part.replace(self._file)

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
            # Without this, threads of Python that wait for each other spin.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }


def library() -> Path:
    """The shared object of libfaketime."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    assert found, "libfaketime is needed"
    return found[0]


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def everything() -> list[tuple[int, bytes]]:
    """Each process but this one, with its command line and its environment in one."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and int(directory.name) != os.getpid():
            with contextlib.suppress(OSError):
                words = (directory / "cmdline").read_bytes() + b"\0" + (directory / "environ").read_bytes()
                found.append((int(directory.name), words))
    return found
