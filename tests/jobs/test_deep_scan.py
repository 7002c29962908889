"""Deep scans through a worker: what a dead one left is ended, then the look is done anew."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from app.db import Database
from app.jobs.context import Context
from app.models.scans import Scan, ScanState
from app.services import scans
from app.services.scan_specs import ScanCreate
from tests.jobs.test_scan import change, ended, scanning
from tests.support.engine import Engine, engine_on
from tests.support.guestfish import StandInGuestfish
from tests.support.hosts import marked_pids
from tests.support.sshd import ssh_server
from tests.support.waiting import until

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def engine(database: Database, tmp_path: Path) -> AsyncIterator[Engine]:
    """Its proxy host has a guestfish that knows one guest."""
    with ssh_server(path=StandInGuestfish(tmp_path).path) as sshd:
        async with engine_on(database, sshd) as made:
            yield made


async def _add(engine: Engine) -> UUID:
    source = {"kind": "disk", "path": engine.source()}
    body = {"proxy_host_id": engine.site.host_id, "source": source, "deep": True}
    async with engine.database.session() as session:
        return (await scans.create(session, ScanCreate.model_validate(body), created_by="test")).id


async def _leave_running(engine: Engine, context: Context, scan_id: UUID) -> None:
    """What a worker leaves on the host that dies in the middle of a look."""
    async with engine.database.session() as session:
        await scans.take(session, context.worker_id, 1)
    agent = await context.agent(engine.site.host_id)
    await agent.create_attempt(scan_id, 1)
    await agent.launch(scan_id, 1, ["sleep", "1000"], environment={}, secret_files=[])
    await engine.bury(context)


async def test_the_guest_is_told_and_nothing_stays_on_the_host(engine: Engine) -> None:
    async with scanning(await engine.context()):
        shown = await ended(engine, await _add(engine))
    (item,) = shown.items
    assert item.vm is not None
    assert item.vm.guest is not None
    assert item.vm.guest.distro == "debian"
    assert engine.left_on_the_host() == []


async def test_what_a_dead_worker_left_is_ended_and_the_look_done_anew(engine: Engine) -> None:
    scan_id = await _add(engine)
    await _leave_running(engine, await engine.context(), scan_id)
    await until(lambda: marked_pids({str(scan_id)}) != [])
    async with scanning(await engine.context()):
        shown = await ended(engine, scan_id)
    assert shown.state is ScanState.SUCCEEDED
    assert marked_pids({str(scan_id)}) == []
    assert engine.left_on_the_host() == []


async def test_a_live_scan_owns_its_directory_and_one_that_has_ended_does_not(engine: Engine) -> None:
    scan_id = await _add(engine)
    async with engine.database.reading() as session:
        assert await scans.live(session, [scan_id]) == {scan_id}
    await change(engine, scan_id, state=ScanState.FAILED)
    async with engine.database.reading() as session:
        assert await scans.live(session, [scan_id]) == frozenset()
        assert (await session.get_one(Scan, scan_id)).deep
