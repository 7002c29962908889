"""The HTTP application in this process, on each database, with a client for each role."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI

from app.api.state import AppState
from app.main import create_app
from app.models.state import Role
from app.models.storage_domains import StorageDomain
from app.settings import Settings
from tests.support.records import add_token
from tests.support.redis import RedisServer
from tests.support.rows import storage_domain

CLOSED_PORT = 9
"""Nothing listens there: a host at this port refuses the connection at once."""


class Api:
    """The application, and who speaks to it."""

    def __init__(self, app: FastAPI, stack: AsyncExitStack) -> None:
        self.app, self._stack = app, stack
        self.state: AppState = app.state.service
        self.database = self.state.database
        self.admin, self.operator, self.viewer = (
            self.client(role.value) for role in (Role.ADMIN, Role.OPERATOR, Role.VIEWER)
        )
        self.nobody = self.client(None)

    def client(self, token: str | None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(app=self.app)
        client = httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers)
        self._stack.push_async_callback(client.aclose)
        return client

    async def made(self, path: str, **body: Any) -> dict[str, Any]:
        """What a POST by an administrator made."""
        answer = await self.admin.post(path, json=body)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def center(self, name: str = "north", **members: Any) -> str:
        return str((await self.made("/v1/data-centers", name=name, **members))["id"])

    async def host(self, center_id: str, name: str = "proxy-1", **members: Any) -> dict[str, Any]:
        """A proxy host that does not answer."""
        given = {"address": "127.0.0.1", "port": CLOSED_PORT, **members}
        return await self.made("/v1/proxy-hosts", data_center_id=center_id, name=name, **given)

    async def domain(self, center_id: str, name: str = "store-1", **members: Any) -> dict[str, Any]:
        given = {"kind": "directory", "settings": {"path": "/srv/store"}, **members}
        return await self.made("/v1/storage-domains", data_center_id=center_id, name=name, **given)

    async def domain_row(self, center_id: str) -> StorageDomain:
        async with self.database.session() as session:
            return await storage_domain(session, UUID(center_id))


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    """The status and code of a problem document, which is whole."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["type"] == f"/problems/{problem['code']}"
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["detail"]
    return problem["status"], problem["code"]


def pointers(answer: httpx.Response) -> list[str]:
    assert answer.status_code in {409, 422}, answer.text
    return [fault["pointer"] for fault in answer.json()["errors"]]


@pytest.fixture
async def api(database_url: str, tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Api]:
    """With a token of each role, which is named after it."""
    settings = Settings(data_dir=tmp_path, database_url=database_url, redis_url=redis_server.url)
    app = create_app(settings)
    async with LifespanManager(app), AsyncExitStack() as stack:
        opened = Api(app, stack)
        async with opened.database.session() as session:
            for role in Role:
                await add_token(session, role.value, role)
        yield opened
