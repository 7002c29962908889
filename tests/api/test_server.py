"""The server with open streams: told to stop, left by clients, not read."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from app.api import server
from tests.support.waiting import until


class Site:
    """An app whose stream goes on until the server stops."""

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self.left = 0
        self.app = Starlette(routes=[Route("/stream", self.stream), Route("/flood", self.flood)])

    async def stream(self, _: Request) -> StreamingResponse:
        return StreamingResponse(self._until_stopped())

    async def flood(self, _: Request) -> StreamingResponse:
        return StreamingResponse(self._endless())

    async def _until_stopped(self) -> AsyncIterator[bytes]:
        yield b"hello"
        await self.stopped.wait()
        yield b"bye"

    async def _endless(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)
        finally:
            self.left += 1


class HastyProtocol(server.Protocol):
    stuck_seconds = 0.2


@pytest.fixture
def harmless_sigterm() -> Iterator[None]:
    """The server raises the signal again when it has ended: it must not end the tests."""
    previous = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, previous)


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """The site at an address of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    serving = server.make_server(site.app, host="127.0.0.1", port=0, on_stop=site.stopped.set)
    serving.config.http = HastyProtocol
    task = asyncio.create_task(serving.serve([listener]))
    await until(lambda: serving.started)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", task
    finally:
        serving.should_exit = True
        await task


@pytest.mark.usefixtures("harmless_sigterm")
async def test_streams_are_told_of_the_stop_and_the_server_ends_at_once() -> None:
    async with (
        running(Site()) as (url, task),
        httpx.AsyncClient() as client,
        client.stream("GET", f"{url}/stream") as response,
    ):
        chunks = response.aiter_bytes()
        assert await anext(chunks) == b"hello"
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await anext(chunks) == b"bye"
        await response.aclose()
        await asyncio.wait_for(asyncio.shield(task), 5)
        assert time.monotonic() - began < 2


async def test_a_client_that_reads_nothing_is_disconnected() -> None:
    site = Site()
    async with running(site) as (url, _):
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: site.left == 1)
        writer.close()
