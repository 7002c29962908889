"""Where events lie in Redis, and the connections to it."""

from typing import Final
from uuid import UUID

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

LIVE: Final = "v2v:events"
"""The stream of everybody's newest events."""
STATE: Final = "v2v:events:state"
"""A hash: `epoch` (random, tells one filling of Redis from another), the last id (`ms`, `n`), `added`."""


def replay(import_id: UUID) -> str:
    """The stream of one import's newest events."""
    return f"v2v:events:{import_id}"


def newest(import_id: UUID) -> str:
    """A hash: the newest event of each type, whether the import has ended, its progress, `added`."""
    return f"v2v:newest:{import_id}"


def connect(url: str, *, timeout_seconds: float, max_connections: int) -> Redis:
    """A client whose every command fails within the timeout; connects when it is first used."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        # A connection that died in the pool is replaced once; a Redis that is gone is told at once.
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[RedisConnectionError],
    )
    return Redis.from_pool(pool)
