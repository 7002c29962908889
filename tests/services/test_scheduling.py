"""Scheduling under load: several workers at once, changing limits, hosts that come and go, no starvation."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.db import Database
from app.errors import InUseError
from app.models.attempts import Attempt, Outcome, Reservation
from app.models.columns import now
from app.models.imports import VmImport
from app.models.proxy_hosts import HostState, ProxyHost
from app.models.state import ImportState
from app.models.storage_domains import StorageDomain
from app.services import admission, attempts, imports, proxy_hosts, storage_domains
from app.services.waiting import OVERTAKEN_SECONDS
from tests.support.rows import SEALER, Site, storage_domain, up
from tests.support.waiting import until

IMPORTS, WORKERS = 40, 3


@pytest.fixture
async def site(database: Database) -> Site:
    return await Site(database).build(host={"max_concurrent_imports": 3})


async def _end(site: Site, import_id: UUID) -> None:
    async with site.database.session() as session:
        row = await imports.get_locked(session, import_id)
        attempt = await attempts.current(session, row)
        assert attempt is not None
        await attempts.end(session, attempt, Outcome.SUCCEEDED)
        await imports.end(session, row, ImportState.SUCCEEDED)


async def _set_host(site: Site, host_id: UUID, **given: Any) -> None:
    """As the API does it."""
    async with site.database.session() as session:
        await proxy_hosts.patch(session, await proxy_hosts.get_locked(session, host_id), given, SEALER)


async def _set_state(site: Site, host_id: UUID, state: HostState) -> None:
    """As a probe found it."""
    async with site.database.session() as session:
        await proxy_hosts.save_status(session, host_id, up(state=state))


async def _domain(site: Site, **members: Any) -> UUID:
    async with site.database.session() as session:
        return (await storage_domain(session, site.data_center_id, **members)).id


async def _limit_domain(site: Site, domain_id: UUID, limit: int | None) -> None:
    async with site.database.session() as session:
        row = await storage_domains.get_locked(session, domain_id)
        await storage_domains.patch(session, row, {"max_concurrent_imports": limit})


async def _overdue(site: Site, import_id: UUID) -> None:
    async with site.database.session() as session:
        row = await imports.get_locked(session, import_id)
        row.waiting_since = now() - timedelta(seconds=OVERTAKEN_SECONDS + 1)


# --- limits ----------------------------------------------------------------------------------------------


class Crowd:
    """Workers that admit, imports that end, and an administrator who changes the limits meanwhile."""

    def __init__(self, site: Site, hosts: list[UUID], domains: list[UUID]) -> None:
        self.site, self.hosts, self.domains = site, hosts, domains
        self.chance = random.Random(7)  # noqa: S311  # no secret
        self.is_over = False
        self.changes = 0

    async def admit(self) -> None:
        while not self.is_over:
            await self.site.admit()
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        for _ in range(IMPORTS):
            await until(self._does_any_run)
            await _end(self.site, self.chance.choice(await self._running()))
        self.is_over = True

    async def change(self) -> None:
        while not self.is_over:
            await self._change()
            self.changes += 1
            before, _ = await self._look()
            for _ in range(5):
                found, limits = await self._look()
                for id_, limit in limits.items():
                    assert found[id_] <= max(limit, before[id_]), (
                        "more than the limit, and more than there were"
                    )
        await _set_host(self.site, self.hosts[0], enabled=True)

    async def _change(self) -> None:
        host, domain = self.chance.choice(self.hosts), self.chance.choice(self.domains)
        if self.chance.random() < 0.5:
            await _set_host(self.site, host, max_concurrent_imports=self.chance.randint(1, 4))
        else:
            await _limit_domain(self.site, domain, self.chance.randint(1, 4))
        # The first host is drained and taken back, the second one goes away and comes back.
        await _set_host(self.site, self.hosts[0], enabled=self.changes % 3 != 0)
        await _set_state(
            self.site, self.hosts[1], HostState.UNREACHABLE if self.changes % 3 == 1 else HostState.UP
        )
        if self.changes % 3 != 0:
            await _set_state(self.site, self.hosts[0], HostState.UP)

    async def _does_any_run(self) -> bool:
        return bool(await self._running())

    async def _running(self) -> list[UUID]:
        async with self.site.database.reading() as session:
            return list((await session.execute(select(Reservation.import_id))).scalars())

    async def _look(self) -> tuple[Counter[UUID], dict[UUID, int]]:
        """In one view: how many run on each host and domain, and how many may begin there."""
        async with self.site.database.reading() as session:
            held = list((await session.execute(select(Reservation))).scalars())
            hosts = list((await session.execute(select(ProxyHost))).scalars())
            domains = list((await session.execute(select(StorageDomain))).scalars())
        found = Counter(one.proxy_host_id for one in held)
        found.update(one.storage_domain_id for one in held if one.storage_domain_id is not None)
        limits = {host.id: host.slots() if host.enabled else 0 for host in hosts}
        limits |= {domain.id: domain.max_concurrent_imports or IMPORTS for domain in domains}
        return found, limits


async def test_limits_hold_at_every_moment_across_workers_while_they_and_the_hosts_change(site: Site) -> None:
    hosts = [site.host_id, *[await site.host(name=f"proxy-{n}", max_concurrent_imports=3) for n in (2, 3)]]
    domains = [site.domain_id, await _domain(site, name="store-2")]
    ids = [
        await site.queue(
            path=f"/srv/{number}.img",
            priority=number % 10,
            storage_domain_id=str(domains[number % 2]),
            **({"proxy_host_id": str(hosts[number % 3])} if number % 4 == 0 else {}),
        )
        for number in range(IMPORTS)
    ]
    crowd = Crowd(site, hosts, domains)
    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(crowd.admit())
        group.create_task(crowd.end())
        group.create_task(crowd.change())
    assert crowd.changes > 3
    async with site.database.reading() as session:
        rows = list((await session.execute(select(VmImport))).scalars())
        tried = list((await session.execute(select(Attempt.import_id))).scalars())
    assert {row.state for row in rows} == {"succeeded"}
    assert sorted(tried) == sorted(ids), "each began once"


async def test_a_lowered_limit_ends_nothing_and_lets_nothing_begin(site: Site) -> None:
    ids = [await site.queue(path=f"/srv/{number}.img") for number in range(4)]
    assert len(await site.admit()) == 3
    await _set_host(site, site.host_id, max_concurrent_imports=1)
    for import_id in ids[:2]:
        await _end(site, import_id)
        assert await site.admit() == []
    await _end(site, ids[2])
    assert await site.admit() == [ids[3]]


async def test_a_host_is_not_removed_under_what_is_admitted_to_it_at_that_moment(site: Site) -> None:
    spare = await site.host(name="proxy-2", max_concurrent_imports=10)
    await _set_host(site, site.host_id, enabled=False)
    import_id = await site.queue()

    async def remove() -> bool:
        try:
            async with site.database.session() as session:
                await proxy_hosts.remove(session, await proxy_hosts.get_locked(session, spare))
        except InUseError:
            return False
        return True

    admitted, is_removed = await asyncio.gather(site.admit(), remove())
    assert (admitted, is_removed) in [([import_id], False), ([], True)]


async def test_slots_are_counted_for_providers_too(site: Site) -> None:
    provider_id = UUID(int=7)
    import_id = await site.queue()
    async with site.database.session() as session:
        (await imports.get_locked(session, import_id)).provider_id = provider_id
    await site.admit()
    async with site.database.reading() as session:
        load = await admission.current_load(session)
    assert load.slots == {site.host_id: 1, site.domain_id: 1, provider_id: 1}


async def test_of_a_cancel_and_an_admission_at_the_same_moment_the_cancel_is_kept(site: Site) -> None:
    await _set_host(site, site.host_id, max_concurrent_imports=100)
    ids = [await site.queue(path=f"/srv/{number}.img") for number in range(20)]

    async def cancel(import_id: UUID) -> None:
        async with site.database.session() as session:
            await imports.cancel(session, await imports.get_locked(session, import_id))

    await asyncio.gather(*(cancel(import_id) for import_id in ids), *(site.admit() for _ in range(4)))
    async with site.database.reading() as session:
        rows = list((await session.execute(select(VmImport))).scalars())
        begun = set((await session.execute(select(Attempt.import_id))).scalars())
    assert {row.id: row.state for row in rows} == {
        import_id: "cancelling" if import_id in begun else "cancelled" for import_id in ids
    }


# --- order -----------------------------------------------------------------------------------------------


async def test_time_until_start_after_is_no_waiting(site: Site) -> None:
    await _set_host(site, site.host_id, max_concurrent_imports=1)
    soon = await site.queue(start_after=(now() - timedelta(seconds=1)).isoformat())
    other = await site.queue(path="/srv/2.img", priority=6)
    async with site.database.session() as session:
        (await imports.get_locked(session, soon)).waiting_since = now() - timedelta(days=1)
    assert await site.admit() == [other]


async def test_a_damaged_request_holds_nobody_up(site: Site) -> None:
    damaged, sound = await site.queue(), await site.queue(path="/srv/2.img")
    async with site.database.session() as session:
        (await imports.get_locked(session, damaged)).spec = {"source": [], "conversion": {}}
    assert sound in await site.admit()


# --- nobody is overtaken for ever ------------------------------------------------------------------------


@pytest.fixture
async def torn(site: Site) -> tuple[UUID, UUID, UUID]:
    """One that needs a full domain; one that fills it; and one behind it that needs another domain."""
    await _limit_domain(site, site.domain_id, 1)
    await _set_host(site, site.host_id, max_concurrent_imports=2)
    elsewhere = await _domain(site, name="store-2")
    filling = await site.queue()
    await site.admit()
    waiting = await site.queue(path="/srv/2.img")
    behind = await site.queue(path="/srv/3.img", storage_domain_id=str(elsewhere))
    return filling, waiting, behind


async def test_one_that_can_begin_overtakes_one_that_can_t(site: Site, torn: tuple[UUID, UUID, UUID]) -> None:
    _, waiting, behind = torn
    assert await site.admit() == [behind]
    assert "store-1" in await site.reason(waiting)


async def test_for_one_that_has_waited_for_too_long_its_slot_is_kept(
    site: Site, torn: tuple[UUID, UUID, UUID]
) -> None:
    filling, waiting, behind = torn
    await _overdue(site, waiting)
    assert await site.admit() == []
    await _end(site, filling)
    assert set(await site.admit()) == {waiting, behind}


async def test_one_slot_is_kept_for_all_that_wait_for_the_same(
    site: Site, torn: tuple[UUID, UUID, UUID]
) -> None:
    _, waiting, behind = torn
    await _overdue(site, waiting)
    await _overdue(site, await site.queue(path="/srv/4.img"))
    await _set_host(site, site.host_id, max_concurrent_imports=3)
    assert await site.admit() == [behind]


async def test_one_that_asked_for_a_busy_host_is_not_overtaken_for_ever_on_its_domain(site: Site) -> None:
    await _set_host(site, site.host_id, max_concurrent_imports=1)
    await _limit_domain(site, site.domain_id, 2)
    busy = await site.queue(proxy_host_id=str(site.host_id))
    await site.admit()
    await site.host(name="proxy-2")
    bound = await site.queue(path="/srv/2.img", proxy_host_id=str(site.host_id))
    await _overdue(site, bound)
    behind = await site.queue(path="/srv/3.img")
    assert await site.admit() == []
    await _end(site, busy)
    assert set(await site.admit()) == {bound, behind}


async def test_nothing_is_kept_for_one_whose_host_is_away(site: Site) -> None:
    other = await site.host(name="proxy-2", max_concurrent_imports=1)
    await _set_state(site, site.host_id, HostState.UNREACHABLE)
    await _overdue(site, await site.queue(proxy_host_id=str(site.host_id)))
    behind = await site.queue(path="/srv/2.img")
    assert await site.admit() == [behind]
    assert (await site.row(behind)).proxy_host_id == other


# --- drained and lost hosts ------------------------------------------------------------------------------


async def test_the_queue_of_a_drained_host_goes_elsewhere_but_for_those_that_asked_for_it(site: Site) -> None:
    other = await site.host(name="proxy-2", max_concurrent_imports=10)
    running = await site.queue(proxy_host_id=str(site.host_id))
    await site.admit()
    await _set_host(site, site.host_id, enabled=False)
    free = await site.queue(path="/srv/2.img")
    bound = await site.queue(path="/srv/3.img", proxy_host_id=str(site.host_id))
    assert await site.admit() == [free]
    assert (await site.row(free)).proxy_host_id == other
    assert (await site.row(running)).state == "running"
    reason = await site.reason(bound)
    assert "drains" in reason
    assert "asked for" in reason
    await _set_host(site, site.host_id, enabled=True)
    await _set_state(site, site.host_id, HostState.UP)
    assert await site.admit() == [bound]
