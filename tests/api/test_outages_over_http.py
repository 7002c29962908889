"""What clients see while the database can't be reached: a problem that says to come back."""

from pathlib import Path

import httpx
import pytest
from asgi_lifespan import LifespanManager

from app.main import create_app
from app.settings import Settings
from tests.support.api import problem_of
from tests.support.redis import RedisServer


@pytest.mark.parametrize(
    "url", ["postgresql+asyncpg://nobody@127.0.0.1:9/none", "sqlite+aiosqlite:////nowhere/at-all.sqlite3"]
)
async def test_a_database_that_is_gone_is_told_with_a_time_to_come_back(
    url: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    app = create_app(Settings(data_dir=tmp_path, database_url=url, redis_url=redis_server.url))
    async with LifespanManager(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            headers = {"Authorization": "Bearer x"}
            answer = await client.get("/v1/data-centers", headers=headers)
            assert problem_of(answer) == (503, "database_unavailable")
            assert int(answer.headers["Retry-After"]) > 0
            key = headers | {"Idempotency-Key": "x"}
            answer = await client.post("/v1/data-centers", json={"name": "x"}, headers=key)
            assert problem_of(answer) == (503, "database_unavailable")
            assert (await client.get("/readyz")).json()["database"] is False
