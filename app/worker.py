"""The worker process: turns through arq, watchers, the sweep, and the beat that says that it lives."""

import asyncio
import contextlib
import faulthandler
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final
from uuid import UUID

from arq.worker import Worker, func

from app import logs
from app.actions.ask_child import Children
from app.db import Database, is_newer, is_unavailable, mismatch, newest_version
from app.events import Events
from app.jobs.context import Context
from app.jobs.runner import Runner
from app.jobs.scan import Scans
from app.jobs.sweep import Sweep
from app.jobs.watch import Watchers
from app.proxy.pool import ProxyPool
from app.queue import JOB_NAME, SCAN_JOB_NAME, Queue, worker_options
from app.secrets import Sealer
from app.services import installation, workers
from app.settings import Settings

STOP_SECONDS: Final = 4.5
"""What has not ended so long after SIGTERM is left as it is: others find it, as after a crash."""
LAST_RESORT_SECONDS: Final = 6.0
ARQ_CLOSE_SECONDS: Final = 2.0
ARQ_GRACE_SECONDS: Final = 30.0
"""A turn ends itself when it takes too long; arq's own timeout comes later, if ever."""
RETRY_SECONDS: Final = 1.0
SCHEMA_NOTE_SECONDS: Final = 10.0
SCHEMA_SECONDS: Final = 2.0
"""How soon a schema that has moved is noticed."""

log = logs.get("worker")


class _StoppedError(Exception):
    """The process was told to end."""


class _DeclaredDeadError(Exception):
    """The others took this worker for dead: what it held is theirs."""


class _SchemaMovedError(Exception):
    """The schema is not this program's any more."""


async def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, and end within 5 s then. Conversions on the proxy hosts run on.

    Raises SchemaMismatchError when the database is newer than this program.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, loop, stop)
    async with _tools(settings) as tools:
        while not stop.is_set():
            await _until_migrated(tools.database, stop)
            if not stop.is_set():
                await _live(settings, tools, stop)


def _stop(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    stop.set()
    loop.call_later(STOP_SECONDS, os._exit, 0)
    # What holds up the loop itself, or the interpreter's end, is told with every thread's place.
    faulthandler.dump_traceback_later(LAST_RESORT_SECONDS, exit=True)


class _Tools:
    """What outlives the worker's row."""

    def __init__(self, settings: Settings) -> None:
        self.database = Database(settings.resolved_database_url())
        self.sealer = Sealer.from_file(settings.resolved_key_file())
        self.queue = Queue(settings.resolved_redis_url())
        self.events = Events(settings.resolved_redis_url(), live_events=settings.event_buffer)
        self.proxies = ProxyPool(partial(installation.read_id, self.database))
        self.children = Children(at_once=settings.provider_questions)


@asynccontextmanager
async def _tools(settings: Settings) -> AsyncIterator[_Tools]:
    tools = _Tools(settings)
    async with AsyncExitStack() as stack:
        for part in (tools.database, tools.queue, tools.events, tools.proxies):
            stack.push_async_callback(part.close)
        await tools.queue.connect()
        yield tools


async def _until_migrated(database: Database, stop: asyncio.Event) -> None:
    """Wait for a database that is away or older. Raises SchemaMismatchError for a newer one."""
    noted_at = -SCHEMA_NOTE_SECONDS
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        found = error = None
        try:
            found = await database.schema_version()
        except Exception as failure:  # noqa: BLE001  # whatever keeps the database away may end
            error = str(failure)
        if found == newest_version():
            return
        if is_newer(found):
            raise mismatch(found)
        if loop.time() - noted_at >= SCHEMA_NOTE_SECONDS:
            noted_at = loop.time()
            told = error or mismatch(found).detail
            log.warning("worker.waits_for_schema", found=found, wanted=newest_version(), error=told)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await stop.wait()


async def _live(settings: Settings, tools: _Tools, stop: asyncio.Event) -> None:
    """One life of the worker: registered, until it is told to end or was taken for dead."""
    async with tools.database.session() as session:
        worker_id = (await workers.register(session)).id
    context = Context(
        settings=settings,
        database=tools.database,
        sealer=tools.sealer,
        queue=tools.queue,
        events=tools.events,
        proxies=tools.proxies,
        children=tools.children,
        worker_id=worker_id,
    )
    log.info("worker.started", worker_id=str(worker_id), process_id=os.getpid())
    try:
        await _serve(context, stop)
    except* _DeclaredDeadError:
        log.warning("worker.declared_dead", worker_id=str(worker_id))
    except* _SchemaMovedError:
        log.warning("worker.schema_moved", worker_id=str(worker_id))
    except* _StoppedError:
        log.info("worker.stopped", worker_id=str(worker_id))
    finally:
        async with tools.database.session() as session:
            await workers.remove(session, worker_id)


async def _serve(context: Context, stop: asyncio.Event) -> None:
    runner, scans = Runner(context), Scans(context)
    async with asyncio.TaskGroup() as group:
        group.create_task(_beat(context))
        group.create_task(_watch_schema(context.database))
        group.create_task(_take_wakes(context.settings, runner, scans))
        group.create_task(scans.run())
        group.create_task(Watchers(context).run())
        group.create_task(Sweep(context, runner).run())
        await stop.wait()
        raise _StoppedError


async def _beat(context: Context) -> None:
    """Raises _DeclaredDeadError. A database that is away for a while is no reason to die."""
    while True:
        try:
            async with context.database.session() as session:
                is_alive = await workers.beat(session, context.worker_id)
        except Exception as error:  # noqa: BLE001  # the top of a job
            log.warning("worker.beat_failed", error=str(error))
            is_alive = True
        if not is_alive:
            raise _DeclaredDeadError
        await asyncio.sleep(context.settings.beat_seconds)


async def _watch_schema(database: Database) -> None:
    """Raises _SchemaMovedError: a newer program has migrated, or somebody went back."""
    while True:
        await asyncio.sleep(SCHEMA_SECONDS)
        try:
            found = await database.schema_version()
        except Exception as error:
            if not is_unavailable(error):
                raise
            continue
        if found != newest_version():
            raise _SchemaMovedError


async def _take_wakes(settings: Settings, runner: Runner, scans: Scans) -> None:
    """Run the turns that are asked for through the queue; without Redis the sweep runs them."""

    async def advance_import(ctx: dict[Any, Any], *args: Any, **_: Any) -> None:  # noqa: ARG001
        await runner.run(UUID(args[0]))

    async def take_scans(ctx: dict[Any, Any], *args: Any, **_: Any) -> None:  # noqa: ARG001
        scans.call()

    options = worker_options(
        settings.resolved_redis_url(),
        turn_timeout_seconds=settings.turn_timeout_seconds + ARQ_GRACE_SECONDS,
    )
    while True:
        worker = Worker(
            functions=[func(advance_import, name=JOB_NAME), func(take_scans, name=SCAN_JOB_NAME)],
            handle_signals=False,
            max_jobs=settings.worker_turns,
            **options,
        )
        try:
            await worker.async_run()
        except Exception as error:  # noqa: BLE001  # Redis went away; arq's worker is of no use any more
            log.warning("worker.redis_lost", error=str(error) or type(error).__name__)
        finally:
            await _close(worker)
        await asyncio.sleep(RETRY_SECONDS)


async def _close(worker: Worker) -> None:
    """End its jobs and connections; without Redis that can take long, and nothing depends on it."""
    try:
        async with asyncio.timeout(ARQ_CLOSE_SECONDS):
            await worker.close()
    except asyncio.CancelledError:
        # arq passes on that it cancelled its own jobs; only when we are cancelled is that the end.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
    except Exception as error:  # noqa: BLE001  # as said
        log.info("worker.close_failed", error=str(error) or type(error).__name__)
