"""The HTTP API as a client sees it: the application behind a real server on loopback."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.actions.announce import announce
from app.api.server import Server, make_server
from app.api.state import AppState
from app.db import Database
from app.main import create_app
from app.models.imports import VmImport
from app.models.state import Role
from app.settings import Settings
from tests.support.records import add_token
from tests.support.redis import RedisServer
from tests.support.sse import Listener
from tests.support.waiting import until


class RunningApi:
    """One API process's worth, in this process."""

    def __init__(self, server: Server, state: AppState, url: str) -> None:
        self.server, self.state, self.url = server, state, url
        self.database: Database = state.database
        self.stack = AsyncExitStack()
        self.admin = self.client("admin")

    def client(self, token: str | None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=10)

    def stack_client(self, token: str | None) -> httpx.AsyncClient:
        """A client that is closed at the end."""
        client = self.client(token)
        self.stack.push_async_callback(client.aclose)
        return client

    async def listen(self, path: str, *, client: httpx.AsyncClient | None = None, **headers: str) -> Listener:
        """A stream, which has begun."""
        request = (client or self.admin).stream("GET", path, headers=headers)
        response = await self.stack.enter_async_context(request)
        assert response.status_code == httpx.codes.OK, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        return Listener(response.aiter_bytes())

    async def change(self, row: VmImport, **fields: Any) -> None:
        """The import changes as a job would change it, and clients are told."""
        async with self.database.session() as session:
            found = await session.get_one(VmImport, row.id)
            for name, value in fields.items():
                setattr(found, name, value)
            found.version += 1
        await announce(self.database, self.state.events, row.id)


@asynccontextmanager
async def run_api(settings: Settings) -> AsyncIterator[RunningApi]:
    """The API with a token of each role, which is named after it."""
    app = create_app(settings)
    listener = socket.create_server(("127.0.0.1", 0))

    def stop() -> None:
        app.state.service.hub.stop()

    server = make_server(app, host="127.0.0.1", port=0, on_stop=stop)
    serving = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started)
    api = RunningApi(server, app.state.service, f"http://127.0.0.1:{listener.getsockname()[1]}")
    async with api.database.session() as session:
        for role in Role:
            await add_token(session, role.value, role)
    try:
        async with api.admin, api.stack:
            yield api
    finally:
        stop()
        server.should_exit = True
        await serving


@pytest.fixture
def api_settings(tmp_path: Path, sqlite_template: Path, redis_server: RedisServer) -> Settings:
    path = tmp_path / "api.sqlite3"
    shutil.copy(sqlite_template, path)
    return Settings(data_dir=tmp_path, database_url=f"sqlite+aiosqlite:///{path}", redis_url=redis_server.url)


@pytest.fixture
async def live_api(api_settings: Settings) -> AsyncIterator[RunningApi]:
    async with run_api(api_settings) as running:
        yield running
