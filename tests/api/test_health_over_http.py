"""Health over HTTP: for supervisors and Prometheus, who have no token."""

from sqlalchemy import text

from app.db import newest_version
from tests.support.api import Api
from tests.support.redis import RedisServer


async def test_a_process_that_runs_is_alive(api: Api) -> None:
    assert (await api.nobody.get("/healthz")).json() == {"status": "ok"}


async def test_a_process_with_its_database_is_ready(api: Api) -> None:
    answer = await api.nobody.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "ready": True,
            "database": True,
            "schema_version": newest_version(),
            "redis": True,
            "workers": 0,
            "code": None,
            "problem": None,
        },
    )
    assert (await api.nobody.get("/readyz?strict=1")).status_code == 503


async def test_a_process_without_redis_is_ready_and_tells(api: Api, redis_server: RedisServer) -> None:
    redis_server.stop()
    answer = await api.nobody.get("/readyz")
    assert (answer.status_code, answer.json()["redis"]) == (200, False)


async def test_a_database_of_another_version_is_not_served(api: Api) -> None:
    async with api.database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    answer = await api.nobody.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert "9999" in answer.json()["problem"]


async def test_metrics_count_what_there_is(api: Api) -> None:
    await api.host(await api.center())
    answer = await api.nobody.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'v2v_import_proxy_hosts{state="unreachable"} 1' in lines
    assert 'v2v_import_imports{state="queued"} 0' in lines
    assert "v2v_import_workers 0" in lines
