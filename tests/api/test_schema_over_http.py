"""A schema that is not this program's: told as such to everybody, and served again when it fits."""

import asyncio
from pathlib import Path

import httpx
from asgi_lifespan import LifespanManager
from sqlalchemy import text

from app.db import Database, migrate, newest_version
from app.main import create_app
from app.settings import Settings
from tests.support.api import Api, problem_of
from tests.support.redis import RedisServer
from tests.support.waiting import until


async def _move_schema(database: Database, version: str) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = :found"), {"found": version})


async def test_a_process_whose_schema_moves_refuses_until_it_fits_again(api: Api) -> None:
    await _move_schema(api.database, "9999")

    async def refuses() -> bool:
        return (await api.viewer.get("/v1/imports")).status_code == httpx.codes.SERVICE_UNAVAILABLE

    await until(refuses)
    for answer in (
        await api.viewer.get("/v1/imports"),
        await api.operator.post("/v1/imports", json={}, headers={"Idempotency-Key": "k"}),
        await api.viewer.get("/v1/events"),
    ):
        assert problem_of(answer) == (503, "schema_mismatch")
        assert "9999" in answer.json()["detail"]
        assert newest_version() in answer.json()["detail"]
        assert "Update this program" in answer.json()["hint"]
        assert int(answer.headers["Retry-After"]) > 0
    ready = await api.nobody.get("/readyz")
    assert (ready.status_code, ready.json()["code"]) == (503, "schema_mismatch")
    await _move_schema(api.database, newest_version())
    await until(lambda: _serves(api))


async def _serves(api: Api) -> bool:
    return (await api.viewer.get("/v1/imports")).status_code == httpx.codes.OK


async def test_what_is_not_there_any_more_is_no_failure_of_the_service(api: Api) -> None:
    async with api.database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE vm_imports RENAME COLUMN state TO condition"))
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    # Perhaps before the process has looked at the version by itself: the query tells, too.
    assert problem_of(await api.viewer.get("/v1/imports")) == (503, "schema_mismatch")
    assert problem_of(await api.nobody.get("/metrics")) == (503, "schema_mismatch")


async def test_an_older_schema_is_waited_for(tmp_path: Path, redis_server: RedisServer) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'old.sqlite3'}"
    app = create_app(Settings(data_dir=tmp_path, database_url=url, redis_url=redis_server.url))
    async with LifespanManager(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            answer = await client.get("/v1/imports")
            assert problem_of(answer) == (503, "schema_mismatch")
            assert "v2v-import migrate" in answer.json()["hint"]
            await asyncio.to_thread(migrate, url)

            async def is_ready() -> bool:
                found = await client.get("/v1/imports")
                return found.status_code == httpx.codes.UNAUTHORIZED

            await until(is_ready)
