"""Limits of providers: they hold across workers, and who waits for a full one is not overtaken for ever."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from app.db import Database
from app.models.attempts import Outcome
from app.models.columns import now
from app.models.providers import Provider
from app.models.state import ImportState
from app.services import attempts, imports, providers
from app.services.waiting import OVERTAKEN_SECONDS
from tests.support.rows import SEALER, Site


class Limited:
    """A site with a provider, which lets so many imports run."""

    def __init__(self, site: Site) -> None:
        self.site, self.provider_id = site, UUID(int=0)

    async def build(self, limit: int) -> "Limited":
        row = Provider(name="kvm-1", kind="kvm", url="test:///default", max_concurrent_imports=limit)
        async with self.site.database.session() as session:
            session.add(row)
        self.provider_id = row.id
        return self

    async def queue(self) -> UUID:
        """One more import of one of its VMs."""
        source = {"kind": "provider_vm", "provider_id": str(self.provider_id), "vm_id": "vm-1"}
        return await self.site.queue(source=source)

    async def admit_together(self) -> list[UUID]:
        """What four workers begin at the same time."""
        passes = await asyncio.gather(*(self.site.admit() for _ in range(4)))
        return [import_id for admitted in passes for import_id in admitted]

    async def set_limit(self, limit: int | None) -> None:
        async with self.site.database.session() as session:
            row = await providers.get_locked(session, self.provider_id)
            given = {"max_concurrent_imports": limit}
            await providers.patch(session, row, given, SEALER, allows_local=False)

    async def end(self, import_id: UUID) -> None:
        async with self.site.database.session() as session:
            row = await imports.get_locked(session, import_id)
            attempt = await attempts.current(session, row)
            assert attempt is not None
            await attempts.end(session, attempt, Outcome.SUCCEEDED)
            await imports.end(session, row, ImportState.SUCCEEDED)

    async def make_overdue(self, import_id: UUID) -> None:
        async with self.site.database.session() as session:
            row = await imports.get_locked(session, import_id)
            row.waiting_since = now() - timedelta(seconds=OVERTAKEN_SECONDS + 1)


@pytest.fixture
async def limited(database: Database) -> Limited:
    site = await Site(database).build(host={"max_concurrent_imports": 20})
    return await Limited(site).build(2)


async def test_workers_together_begin_no_more_than_a_provider_takes(limited: Limited) -> None:
    ids = [await limited.queue() for _ in range(6)]
    begun = await limited.admit_together()
    assert len(begun) == len(set(begun)) == 2
    await limited.end(begun[0])
    begun += await limited.admit_together()
    assert sorted(begun) == sorted(ids)[:3]


async def test_a_lowered_limit_lets_nothing_begin_and_none_lets_all(limited: Limited) -> None:
    ids = [await limited.queue() for _ in range(4)]
    assert await limited.site.admit() == ids[:2]
    await limited.set_limit(1)
    await limited.end(ids[0])
    assert await limited.site.admit() == []
    await limited.set_limit(None)
    assert await limited.site.admit() == ids[2:]


async def test_what_an_overdue_import_needs_besides_is_kept_for_it(database: Database) -> None:
    site = await Site(database).build(host={"max_concurrent_imports": 2})
    limited = await Limited(site).build(1)
    first, second = [await limited.queue() for _ in range(2)]
    assert await site.admit() == [first]
    await limited.make_overdue(second)
    other = await site.queue()
    assert await site.admit() == []
    await limited.end(first)
    assert await site.admit() == [second, other]
