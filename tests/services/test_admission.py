"""Admission: order, limits, reservations, and what becomes of imports that can never begin."""

import asyncio
from datetime import timedelta

from sqlalchemy import select

from app.db import Database
from app.errors import SourceNotFoundError
from app.models.attempts import Outcome, Reservation
from app.models.columns import now
from app.models.imports import VmImport
from app.models.proxy_hosts import HostState, ProxyHost
from app.models.state import ImportState
from app.models.storage_domains import StorageDomain
from app.services import admission, attempts, imports, next_attempts, waiting
from app.services.placement import WORK_BYTES_AT_LEAST
from tests.support.rows import GIB, Site, up


async def test_an_import_begins_on_the_host_that_is_up(database: Database) -> None:
    site = await Site(database).build()
    import_id = await site.queue()
    assert await site.admit() == [import_id]
    row, attempt = await site.row(import_id), await site.attempt(import_id)
    assert (row.state, row.step, row.proxy_host_id) == ("running", "choose_proxy_host", site.host_id)
    assert (attempt.number, attempt.storage_domain_id) == (1, site.domain_id)
    assert row.wake_at is not None


async def test_a_full_host_lets_the_others_wait_and_says_so(database: Database) -> None:
    site = await Site(database).build(host={"max_concurrent_imports": 2})
    ids = [await site.queue(path=f"/srv/{number}.img") for number in range(3)]
    assert await site.admit() == ids[:2]
    assert (await site.row(ids[2])).state == ImportState.QUEUED
    assert "runs 2 imports" in await site.reason(ids[2])


async def test_a_slot_is_free_again_when_its_attempt_ends(database: Database) -> None:
    site = await Site(database).build(host={"max_concurrent_imports": 1})
    first, second = await site.queue(), await site.queue(path="/srv/2.img")
    assert await site.admit() == [first]
    async with database.session() as session:
        row = await imports.get(session, first)
        attempt = await attempts.current(session, row)
        assert attempt is not None
        await attempts.end(session, attempt, Outcome.SUCCEEDED)
        await imports.end(session, row, ImportState.SUCCEEDED)
    assert await site.admit() == [second]


async def test_cores_and_memory_limit_a_host_that_has_no_limit_of_its_own(database: Database) -> None:
    site = await Site(database).build(host={"status": up(cpu_count=8, memory_bytes=5 * GIB)})
    for number in range(4):
        await site.queue(path=f"/srv/{number}.img")
    assert len(await site.admit()) == 2


async def test_a_domain_s_limit_holds_across_hosts(database: Database) -> None:
    site = await Site(database).build(domain={"max_concurrent_imports": 1})
    await site.host(name="proxy-2")
    await site.queue()
    second = await site.queue(path="/srv/2.img")
    assert len(await site.admit()) == 1
    assert "store-1" in await site.reason(second)


async def test_imports_spread_over_the_least_loaded_hosts(database: Database) -> None:
    site = await Site(database).build()
    other = await site.host(name="proxy-2")
    ids = [await site.queue(path=f"/srv/{number}.img") for number in range(2)]
    await site.admit()
    assert {(await site.row(import_id)).proxy_host_id for import_id in ids} == {site.host_id, other}


async def test_the_higher_priority_goes_first(database: Database) -> None:
    site = await Site(database).build(host={"max_concurrent_imports": 1})
    await site.queue(priority=5)
    urgent = await site.queue(path="/srv/2.img", priority=9)
    assert await site.admit() == [urgent]


async def test_waiting_raises_priority_so_that_nobody_starves(database: Database) -> None:
    site = await Site(database).build(host={"max_concurrent_imports": 1})
    patient = await site.queue(priority=0)
    await site.queue(path="/srv/2.img", priority=9)
    async with database.session() as session:
        row = await imports.get(session, patient)
        row.waiting_since = now() - timedelta(minutes=100)
    assert await site.admit() == [patient]


async def test_an_import_waits_for_its_time(database: Database) -> None:
    site = await Site(database).build()
    later = (now() + timedelta(hours=1)).isoformat()
    await site.queue(start_after=later)
    async with database.reading() as session:
        assert not await waiting.is_any_due(session)
        assert (await admission.line_up(session)).heads == []
    assert await site.admit() == []


async def test_a_host_that_is_not_up_is_waited_for(database: Database) -> None:
    site = await Site(database).build(host={"status": up(state=HostState.UNREACHABLE)})
    import_id = await site.queue()
    assert await site.admit() == []
    assert "unreachable" in await site.reason(import_id)


async def test_a_missing_ability_fails_the_import_with_its_name(database: Database) -> None:
    status = up()
    assert status.virt_v2v is not None
    lacking = status.virt_v2v.model_copy(update={"outputs": ("local",)})
    site = await Site(database).build(
        host={"status": up(virt_v2v=lacking)},
        domain={"kind": "ovirt_data", "settings": {"path": "/rhev/data-center/mnt/x/1"}},
    )
    import_id = await site.queue()
    await site.admit()
    problem = (await site.row(import_id)).problem
    assert problem is not None
    assert (problem.code, "output:vdsm" in problem.detail) == ("missing_ability", True)


async def test_a_data_center_without_proxy_hosts_fails_the_import(database: Database) -> None:
    site = await Site(database).build()
    import_id = await site.queue()
    async with database.session() as session:
        await session.delete(await session.get_one(ProxyHost, site.host_id))
    await site.admit()
    row = await site.row(import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "no_proxy_host")


async def test_when_no_host_holds_the_source_the_import_fails_with_what_the_last_one_said(
    database: Database,
) -> None:
    site = await Site(database).build()
    import_id = await site.queue()
    await site.admit()
    async with database.session() as session:
        row = await imports.get(session, import_id)
        attempt = await attempts.current(session, row)
        assert attempt is not None
        problem = SourceNotFoundError("There is no /srv/images/web-1.img.").to_problem()
        await attempts.end(session, attempt, Outcome.MOVED, problem)
        await next_attempts.requeue(session, row, holds_source=False)
    await site.admit()
    row = await site.row(import_id)
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "source_not_found")


async def test_little_room_in_the_work_directory_is_waited_for(database: Database) -> None:
    site = await Site(database).build(host={"status": up(free_bytes=WORK_BYTES_AT_LEAST * 3 // 2)})
    first, second = await site.queue(), await site.queue(path="/srv/2.img")
    assert await site.admit() == [first]
    assert "bytes free" in await site.reason(second)


async def test_a_copy_needs_no_room_in_the_work_directory(database: Database) -> None:
    site = await Site(database).build(host={"status": up(free_bytes=1)})
    waiting = await site.queue()
    copied = await site.queue(path="/srv/2.img", conversion={"mode": "copy"})
    assert await site.admit() == [copied]
    assert "bytes free" in await site.reason(waiting)


async def test_passes_that_run_together_give_no_slot_out_twice(database: Database) -> None:
    site = await Site(database).build(host={"max_concurrent_imports": 3})
    for number in range(10):
        await site.queue(path=f"/srv/{number}.img")
    admitted = await asyncio.gather(*(site.admit() for _ in range(4)))
    assert sum(len(ids) for ids in admitted) == 3
    async with database.reading() as session:
        assert len((await session.execute(select(Reservation))).all()) == 3


async def test_without_a_named_domain_the_roomiest_takes_the_vm(database: Database) -> None:
    site = await Site(database).build()
    async with database.session() as session:
        domain = await session.get_one(StorageDomain, site.domain_id)
        domain.status = domain.status.model_copy(update={"free_bytes": GIB})
        roomy = StorageDomain(
            data_center_id=site.data_center_id, name="roomy", kind="directory", settings={"path": "/b"}
        )
        roomy.status = domain.status.model_copy(update={"free_bytes": 9 * GIB})
        session.add(roomy)
    import_id = await site.queue(storage_domain_id=None, data_center_id=str(site.data_center_id))
    await site.admit()
    assert (await site.row(import_id)).storage_domain_id == roomy.id


async def test_hundreds_that_wait_are_looked_through_quickly(database: Database) -> None:
    site = await Site(database).build(host={"max_concurrent_imports": 1})
    for number in range(300):
        await site.queue(path=f"/srv/{number}.img")
    async with asyncio.timeout(30):
        assert len(await site.admit()) == 1
    async with database.reading() as session:
        states = [row.state for row in (await session.execute(select(VmImport))).scalars()]
    assert states.count("queued") == 299
