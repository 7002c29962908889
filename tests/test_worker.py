"""The worker as a process: it ends quickly, is adopted when killed, and outlives Redis."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.db import newest_version
from app.services import workers
from tests.support.engine import Engine, engine_on
from tests.support.redis import RedisServer
from tests.support.rows import KEY
from tests.support.sshd import SshServer
from tests.support.waiting import until

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class WorkerProcess:
    """`v2v-import worker` on the engine's database."""

    def __init__(self, engine: Engine, redis_url: str, directory: Path) -> None:
        key_file = directory / "key"
        key_file.write_text(KEY.hex())
        self._environment = {
            **os.environ,
            "V2V_IMPORT_DATA_DIR": str(directory),
            "V2V_IMPORT_DATABASE_URL": engine.database.url,
            "V2V_IMPORT_REDIS_URL": redis_url,
            "V2V_IMPORT_KEY_FILE": str(key_file),
            "V2V_IMPORT_BEAT_SECONDS": "0.2",
            "V2V_IMPORT_WORKER_DEAD_AFTER_SECONDS": "1.5",
            "V2V_IMPORT_SWEEP_SECONDS": "0.2",
            "V2V_IMPORT_HOST_RETRY_SECONDS": "0.5",
            "V2V_IMPORT_LOG_LEVEL": "warning",
        }
        self._engine = engine
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "worker"),
            env=self._environment,
            stderr=asyncio.subprocess.PIPE,
        )

    async def refused(self, *, seconds: float = 30) -> tuple[int, str]:
        """Its status and what it says, once it has ended by itself."""
        assert self._process is not None
        async with asyncio.timeout(seconds):
            _, told = await self._process.communicate()
            return await self._process.wait(), told.decode()

    async def end(self, number: signal.Signals, *, seconds: float = 5.0) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        async with asyncio.timeout(seconds):
            return await self._process.wait()

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


@pytest.fixture
async def engine(database: object, sshd: SshServer) -> AsyncIterator[Engine]:
    async with engine_on(database, sshd) as made:  # type: ignore[arg-type]  # the fixture's database
        yield made


@pytest.fixture
async def worker(engine: Engine, redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[WorkerProcess]:
    engine.redis_url = redis_server.url
    process = WorkerProcess(engine, redis_server.url, tmp_path)
    await process.start()
    try:
        await until(lambda: _workers(engine, 1), seconds=20)
        yield process
    finally:
        await process.kill()


async def _workers(engine: Engine, wanted: int) -> bool:
    async with engine.database.reading() as session:
        return await workers.count(session) == wanted


async def _state(engine: Engine, import_id: object, wanted: str) -> bool:
    return (await engine.site.row(import_id)).state == wanted  # type: ignore[arg-type]  # an import's id


async def test_an_import_goes_in_by_itself(engine: Engine, worker: WorkerProcess) -> None:
    import_id = await engine.site.queue(path=engine.source())
    await until(lambda: _state(engine, import_id, "succeeded"), seconds=40)


async def test_it_ends_within_5_seconds_and_the_conversion_runs_on(
    engine: Engine, worker: WorkerProcess
) -> None:
    engine.virt_v2v.hold()
    import_id = await engine.site.queue(path=engine.source())
    await until(lambda: engine.virt_v2v.starts() == 1, seconds=30)
    assert await worker.end(signal.SIGTERM) == 0
    assert await _workers(engine, 0)
    row = await engine.site.row(import_id)
    assert (row.state, row.worker_id) == ("running", None)
    await worker.start()
    engine.virt_v2v.let_go()
    await until(lambda: _state(engine, import_id, "succeeded"), seconds=40)
    assert engine.virt_v2v.starts() == 1


async def test_a_killed_worker_s_conversion_is_adopted_by_the_next(
    engine: Engine, worker: WorkerProcess
) -> None:
    engine.virt_v2v.hold()
    import_id = await engine.site.queue(path=engine.source())
    await until(lambda: engine.virt_v2v.starts() == 1, seconds=30)
    await worker.end(signal.SIGKILL)
    await worker.start()
    engine.virt_v2v.let_go()
    await until(lambda: _state(engine, import_id, "succeeded"), seconds=40)
    assert engine.virt_v2v.starts() == 1
    await until(lambda: _workers(engine, 1))


async def test_redis_may_go_and_come_back(
    engine: Engine, worker: WorkerProcess, redis_server: RedisServer
) -> None:
    redis_server.stop()
    first = await engine.site.queue(path=engine.source())
    await until(lambda: _state(engine, first, "succeeded"), seconds=40)
    redis_server.start()
    second = await engine.site.queue(path=engine.source("web-2.img"))
    await until(lambda: _state(engine, second, "succeeded"), seconds=40)
    assert await worker.end(signal.SIGTERM) == 0


async def test_it_ends_quickly_without_redis_too(worker: WorkerProcess, redis_server: RedisServer) -> None:
    redis_server.stop()
    await asyncio.sleep(1)
    assert await worker.end(signal.SIGTERM) == 0


async def test_one_that_was_taken_for_dead_registers_anew(engine: Engine, worker: WorkerProcess) -> None:
    async with engine.database.session() as session:
        (worker_id,) = await workers.beats(session)
        await workers.remove(session, worker_id)

    async def is_back() -> bool:
        async with engine.database.reading() as session:
            return bool(set(await workers.beats(session)) - {worker_id})

    await until(is_back)
    import_id = await engine.site.queue(path=engine.source())
    await until(lambda: _state(engine, import_id, "succeeded"), seconds=40)


async def _move_schema(engine: Engine, version: str) -> None:
    async with engine.database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = :found"), {"found": version})


async def test_one_that_is_older_than_the_schema_ends_and_says_so(
    engine: Engine, worker: WorkerProcess
) -> None:
    engine.virt_v2v.hold()
    await engine.site.queue(path=engine.source())
    await until(lambda: engine.virt_v2v.starts() == 1, seconds=30)
    await _move_schema(engine, "9999")
    status, told = await worker.refused()
    assert status == 1
    assert "9999" in told
    assert newest_version() in told
    assert "Update this program" in told
    assert await _workers(engine, 0)
    [process_id] = engine.virt_v2v.process_ids()
    os.kill(process_id, 0)


async def test_one_that_is_newer_than_the_schema_waits(engine: Engine, worker: WorkerProcess) -> None:
    await _move_schema(engine, "0001")
    await until(lambda: _workers(engine, 0), seconds=30)
    await _move_schema(engine, newest_version())
    await until(lambda: _workers(engine, 1), seconds=30)
