"""The HTTP server: uvicorn, with event streams that say goodbye and readers that may not dawdle for ever."""

import asyncio
import socket
from collections.abc import Callable
from types import FrameType
from typing import ClassVar, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

STOP_SECONDS: Final = 3
"""How long open requests may take once the server was told to stop."""


class Protocol(H11Protocol):
    """HTTP/1.1 that gives up on a client that doesn't read: what is written for it would wait for ever."""

    stuck_seconds: ClassVar = 60.0
    """A client that reads nothing for so long is disconnected."""
    _stuck: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(self.stuck_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forgive()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forgive()

    def _forgive(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


class Server(uvicorn.Server):
    """Calls `on_stop` as soon as it is told to stop: uvicorn itself waits for open streams to end."""

    def __init__(self, config: uvicorn.Config, *, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal handler: it may interrupt the loop anywhere, so the loop does the rest."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_stop)


def make_server(app: ASGIApp, *, host: str, port: int, on_stop: Callable[[], None]) -> Server:
    """A server for the app; `on_stop` runs in its loop. It ends within `STOP_SECONDS` and a little."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Protocol,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=STOP_SECONDS,
        # uvicorn's access log shows query strings, and with them stream tickets.
        access_log=False,
        log_config=None,
        server_header=False,
    )
    return Server(config, on_stop=on_stop)
