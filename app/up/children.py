"""Child processes that are kept running, and that never outlive their parent."""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from app import logs

PR_SET_PDEATHSIG: Final = 1
BACKOFF_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 10.0
"""A child that ran so long starts again at once when it ends."""
STOP_SECONDS: Final = 8.0

_libc = ctypes.CDLL(None, use_errno=True)

log = logs.get("up")


def _die_with(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        """In the child, before its program starts: the kernel ends it when the parent is gone."""
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


async def _nothing(_: int) -> None:
    """Nobody needs to be told."""


class Child:
    """One program, started anew whenever it ends; `on_exit` is told the process id of the one that ended."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        on_exit: Callable[[int], Awaitable[None]] = _nothing,
    ) -> None:
        self.name, self._argv, self._on_exit = name, argv, on_exit
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=asyncio.subprocess.DEVNULL,
            env=self._environment,
            # Ctrl-C is for us alone: we end the children in the right order.
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),
        )

    async def keep_running(self) -> None:
        """Until it is cancelled; the process that runs then runs on until `stop`."""
        backoff = BACKOFF_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            if self._process is None:
                await self.start()
            await self._exited()
            if loop.time() - began >= STEADY_SECONDS:
                backoff = BACKOFF_SECONDS
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, LONGEST_BACKOFF_SECONDS)

    async def _exited(self) -> None:
        process = self._process
        if process is None:
            return
        status = await process.wait()
        self._process = None
        log.error("up.child_exited", child=self.name, process_id=process.pid, status=status)
        try:
            await self._on_exit(process.pid)
        except Exception:  # whatever keeps the news from spreading, the child has to be started again
            log.exception("up.exit_not_told", child=self.name)

    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def stop(self) -> None:
        """TERM, and KILL when that is not enough; returns when it is gone."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
