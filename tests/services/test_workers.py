"""Workers: who lives, and what a dead one leaves."""

import os
import socket
from uuid import UUID

from app.db import Database
from app.models.proxy_hosts import ProxyHost
from app.services import turns, workers
from tests.support.rows import Site


async def _register(database: Database) -> UUID:
    async with database.session() as session:
        return (await workers.register(session)).id


async def test_beats_move_and_tell_who_is_there(database: Database) -> None:
    first, second = await _register(database), await _register(database)
    async with database.session() as session:
        assert await workers.beat(session, second)
    async with database.reading() as session:
        assert list((await workers.beats(session)).items()) == [(first, 0), (second, 1)]
        assert await workers.count(session) == 2


async def test_one_that_was_declared_dead_learns_of_it(database: Database) -> None:
    worker_id = await _register(database)
    async with database.session() as session:
        await workers.remove(session, worker_id)
    async with database.session() as session:
        assert not await workers.beat(session, worker_id)


async def test_a_dead_worker_s_turns_and_hosts_are_free_and_its_imports_called(database: Database) -> None:
    site = await Site(database).build()
    import_id = await site.queue()
    await site.admit()
    worker_id = await _register(database)
    async with database.session() as session:
        await turns.claim(session, import_id, worker_id)
        (await session.get_one(ProxyHost, site.host_id)).watcher_worker_id = worker_id
    async with database.session() as session:
        assert await workers.remove(session, worker_id) == 1
    async with database.reading() as session:
        assert await turns.is_any_due(session)
        assert (await session.get_one(ProxyHost, site.host_id)).watcher_worker_id is None
    assert (await site.row(import_id)).worker_id is None


async def test_a_process_that_was_seen_to_exit_is_buried_at_once(database: Database) -> None:
    await _register(database)
    async with database.session() as session:
        await workers.gone(session, host_name=socket.gethostname(), process_id=os.getpid() + 1)
        assert await workers.count(session) == 1
        await workers.gone(session, host_name=socket.gethostname(), process_id=os.getpid())
        assert await workers.count(session) == 0
