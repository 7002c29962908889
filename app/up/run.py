"""Starts Redis, the API and a worker, keeps them running, and ends them in the right order."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx

from app import logs
from app.db import Database
from app.services import workers
from app.settings import Settings
from app.up import first_start, private_redis
from app.up.children import Child
from app.up.refusal import RefusedError

READY_SECONDS: Final = 60.0
ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # only recognised

log = logs.get("up")


def run_up(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; exits with a sentence and status 1 when it can't start."""
    try:
        with first_start.held(settings.data_dir.resolve()):
            asyncio.run(_run(settings))
    except RefusedError as error:
        sys.exit(f"v2v-import: {error}")


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    data_dir = settings.data_dir.resolve()
    port = _free_port(settings.host, settings.port)
    async with _redis(settings, data_dir) as redis_url:
        whole = settings.model_copy(update={"data_dir": data_dir, "redis_url": redis_url, "port": port})
        database = Database(whole.resolved_database_url())
        try:
            await first_start.bring_schema_up(database)
            token_file = await first_start.write_first_token(database, data_dir)
            await _serve(whole, database, token_file, stop)
        finally:
            await database.close()


@contextlib.asynccontextmanager
async def _redis(settings: Settings, data_dir: Path) -> AsyncIterator[str]:
    """The URL of the Redis that was named, or of a private one that ends last of all."""
    if settings.redis_url is not None:
        yield settings.redis_url
        return
    directory = data_dir / "redis"
    with private_redis.socket_in(directory) as path:
        child = private_redis.redis_child(private_redis.find_program(), directory, path)
        await child.start()
        try:
            await private_redis.until_it_answers(child, path)
            keeping = asyncio.create_task(child.keep_running())
            try:
                yield private_redis.url_of(path)
            finally:
                keeping.cancel()
                await asyncio.wait({keeping})
        finally:
            await child.stop()


async def _serve(settings: Settings, database: Database, token_file: Path, stop: asyncio.Event) -> None:
    async def bury(process_id: int) -> None:
        """The others need not wait until its beat is missed."""
        async with database.session() as session:
            await workers.gone(session, host_name=socket.gethostname(), process_id=process_id)

    environment = environment_of(settings)
    api = Child("api", _command("api"), environment=environment)
    worker = Child("worker", _command("worker"), environment=environment, on_exit=bury)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child.keep_running()) for child in (api, worker)]
            tasks.append(group.create_task(_say_when_ready(settings, token_file)))
            await stop.wait()
            for task in tasks:
                task.cancel()
    finally:
        await asyncio.gather(api.stop(), worker.stop())


def _command(name: str) -> list[str]:
    # -P: what lies in the current directory is nothing of ours.
    return [sys.executable, "-P", "-m", "app.cli", name]


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as the environment that gives them back."""
    given = settings.model_dump(mode="json", exclude_none=True)
    return {f"V2V_IMPORT_{name.upper()}": str(value) for name, value in given.items()}


def _free_port(host: str, port: int) -> int:
    """The port itself, or a free one for 0. Raises RefusedError when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RefusedError(f"Can't listen on {host} port {port}: {error.strerror}.") from error
        free: int = probe.getsockname()[1]
        return free


async def _say_when_ready(settings: Settings, token_file: Path) -> None:
    url = _url(settings.host, settings.port)
    local = _url(ANY_ADDRESS.get(settings.host, settings.host), settings.port)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_SECONDS
    async with httpx.AsyncClient(base_url=local, trust_env=False, timeout=2) as client:
        while loop.time() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get("/readyz")).is_success:
                    sys.stdout.write(f"v2v-import is ready: {url}/docs (admin token: {token_file})\n")
                    sys.stdout.flush()
                    return
            await asyncio.sleep(0.1)
    log.error("up.not_ready", url=url, waited_seconds=READY_SECONDS)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
