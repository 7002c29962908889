"""What clients see while the database can't be reached: a problem that says to come back."""

import asyncio
from pathlib import Path

import httpx
import pytest
from asgi_lifespan import LifespanManager
from sqlalchemy import text

from app.db import Database
from app.main import create_app
from app.models.state import Role
from app.settings import Settings
from tests.support.api import problem_of
from tests.support.database import PostgresServer
from tests.support.records import add_token
from tests.support.redis import RedisServer
from tests.support.waiting import until


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


async def test_a_connection_that_is_lost_in_a_query_is_told_like_a_database_that_is_gone(
    postgres_server: PostgresServer, postgres_template: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    url = postgres_server.create("lost_in_a_query", template=postgres_template)
    database = Database(url)
    async with database.session() as session:
        await add_token(session, Role.VIEWER.value, Role.VIEWER)
    app = create_app(Settings(data_dir=tmp_path, database_url=url, redis_url=redis_server.url))
    async with LifespanManager(app), database.session() as blocker:
        await blocker.execute(text("LOCK TABLE data_centers IN ACCESS EXCLUSIVE MODE"))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            headers = {"Authorization": f"Bearer {Role.VIEWER.value}"}
            asking = asyncio.create_task(client.get("/v1/data-centers", headers=headers))
            await until(lambda: _end_those_that_wait(database))
            assert problem_of(await asking) == (503, "database_unavailable")
    await database.close()
    postgres_server.drop("lost_in_a_query")


async def _end_those_that_wait(database: Database) -> bool:
    """Whether a connection that waits for a lock was there, and is ended."""
    statement = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    # A transaction sees the activity as it was when it first looked.
    async with database.session() as session:
        return (await session.execute(text(statement))).first() is not None
