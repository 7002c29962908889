"""Wakes workers through Redis: arq behind a face of our own."""

import json
from collections.abc import Callable
from typing import Any, Final, TypedDict
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID, uuid4

from arq.connections import ArqRedis, RedisSettings
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app import logs
from app.outages import Outage, within

JOB_NAME: Final = "advance_import"
SCAN_JOB_NAME: Final = "take_scans"
QUEUE_NAME: Final = "v2v-import:wakes"
WAKE_SECONDS: Final = 2.0
"""No request and no turn waits longer than this for Redis: the sweep wakes what could not be woken."""
EXPIRES_SECONDS: Final = 7 * 24 * 3600
WORKER_RETRIES: Final = 60

log = logs.get("queue")


def serialize(job: dict[str, Any]) -> bytes:
    """JSON rather than pickle: what lies in Redis can't run code."""
    return json.dumps(job, default=str, separators=(",", ":")).encode()


def deserialize(data: bytes) -> dict[str, Any]:
    job: dict[str, Any] = json.loads(data)
    return job


class WorkerOptions(TypedDict):
    """What the worker must have in common with the queue; the keywords of arq's `Worker`."""

    redis_settings: RedisSettings
    queue_name: str
    job_serializer: Callable[[dict[str, Any]], bytes]
    job_deserializer: Callable[[bytes], dict[str, Any]]
    job_timeout: float
    keep_result: float
    max_tries: int
    poll_delay: float
    queue_read_limit: int
    expires_extra_ms: int
    log_results: bool
    allow_abort_jobs: bool


def worker_options(url: str, *, turn_timeout_seconds: float) -> WorkerOptions:
    """Keywords for arq's `Worker`, which reads what `Queue` writes."""
    return WorkerOptions(
        redis_settings=redis_settings(url),
        queue_name=QUEUE_NAME,
        job_serializer=serialize,
        job_deserializer=deserialize,
        # arq blocks a killed worker's job for the largest timeout of any function, and without a timeout
        # it starts a job twice.
        job_timeout=turn_timeout_seconds,
        keep_result=0,
        # Kills and SIGTERMs count as tries; how often an import may try is not arq's to say.
        max_tries=1000,
        poll_delay=0.05,
        # Jobs in progress elsewhere take up places of what is read; few places starve new jobs.
        queue_read_limit=1000,
        expires_extra_ms=EXPIRES_SECONDS * 1000,
        log_results=False,
        allow_abort_jobs=False,
    )


def redis_settings(url: str) -> RedisSettings:
    """Settings of arq for a `redis://`, `rediss://` or `unix://` URL; raises ValueError for another one."""
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(f"The Redis URL must begin with redis://, rediss:// or unix://, not {parts.scheme}:")
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    is_socket = parts.scheme == "unix"
    path = "" if is_socket else parts.path.lstrip("/")
    return RedisSettings(
        host=parts.hostname or "localhost",
        port=parts.port or 6379,
        unix_socket_path=unquote(parts.path) if is_socket else None,
        database=int(query.get("db") or path or 0),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        ssl=parts.scheme == "rediss",
        ssl_check_hostname=parts.scheme == "rediss",
        ssl_ca_certs=query.get("ssl_ca_certs"),
        # Without these, two seconds without Redis leave a worker alive that never polls again.
        retry=Retry(ExponentialBackoff(cap=2, base=0.2), WORKER_RETRIES),
        retry_on_error=[RedisConnectionError, RedisTimeoutError, OSError],
        retry_on_timeout=True,
    )


def _connection(url: str) -> ArqRedis:
    settings = redis_settings(url)
    return ArqRedis(
        host=str(settings.host),
        port=settings.port,
        unix_socket_path=settings.unix_socket_path,
        db=settings.database,
        username=settings.username,
        password=settings.password,
        ssl=settings.ssl,
        ssl_check_hostname=settings.ssl_check_hostname,
        ssl_ca_certs=settings.ssl_ca_certs,
        socket_connect_timeout=WAKE_SECONDS,
        socket_timeout=WAKE_SECONDS,
        # A connection that died in the pool is replaced once; a Redis that is gone is told at once.
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[RedisConnectionError],
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=QUEUE_NAME,
    )


class Queue:
    """Asks the workers for turns. Losing a wake-up loses nothing: the sweep finds what stands still."""

    def __init__(self, url: str) -> None:
        self._redis = _connection(url)
        self._outage = Outage(WAKE_SECONDS)

    async def connect(self) -> None:
        """Tries the connection, so that trouble is in the log at the start; an absent Redis is no error."""
        if not await self.ping():
            log.warning("queue.redis_unreachable")

    async def wake(self, import_id: UUID) -> bool:
        """Ask for a turn of this import now. Never raises; False when Redis can't be reached."""
        return await self._enqueue(JOB_NAME, import_id)

    async def wake_scan(self, scan_id: UUID) -> bool:
        """Tell a worker that a scan waits. Never raises; False when Redis can't be reached."""
        return await self._enqueue(SCAN_JOB_NAME, scan_id)

    async def _enqueue(self, name: str, id_: UUID) -> bool:
        if self._outage.is_on():
            return False
        try:
            async with within(WAKE_SECONDS):
                await self._redis.enqueue_job(
                    name,
                    str(id_),
                    _job_id=f"{id_}:{uuid4().hex}",
                    _expires=EXPIRES_SECONDS,
                )
        except (RedisError, OSError) as error:
            log.warning("queue.wake_failed", job=name, id=str(id_), error=str(error))
            self._outage.note(error)
            return False
        self._outage.note(None)
        return True

    async def ping(self) -> bool:
        """Whether Redis answers. Never raises."""
        if self._outage.is_on():
            return False
        try:
            async with within(WAKE_SECONDS):
                await self._redis.ping()
        except (RedisError, OSError) as error:
            self._outage.note(error)
            return False
        self._outage.note(None)
        return True

    async def close(self) -> None:
        await self._redis.aclose()
