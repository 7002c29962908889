"""Who owns what carries a mark, as the database has it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.models.attempts import Artifact, Attempt, Outcome
from app.models.columns import new_id
from app.models.imports import VmImport
from app.models.orphans import MarkedThing, OrphanKind, place_tag, tag_in
from app.models.scans import Scan, ScanState
from app.models.state import ImportState
from app.models.storage_domains import StorageDomain
from app.models.vms import VmState
from app.services import attempts, imports, installation, orphans, timeline
from app.services.specs import ImportRetry
from tests.support.records import add_attempt, add_import, add_vm
from tests.support.rows import Site

DIRECTORY, PROCESS, STORAGE = OF_ATTEMPTS = [kind for kind in OrphanKind if kind is not OrphanKind.UPLOAD]
HOST_ID, DOMAIN_ID = UUID(int=1), UUID(int=2)


def thing(kind: OrphanKind, attempt_id: UUID, installation_id: UUID | None = None) -> MarkedThing:
    is_on_storage = kind is STORAGE
    return MarkedThing(
        kind=kind,
        proxy_host_id=HOST_ID,
        storage_domain_id=DOMAIN_ID if is_on_storage else None,
        attempt_id=attempt_id,
        installation_id=installation_id,
        path=None if kind is PROCESS else "/srv/somewhere",
        size_bytes=1,
        created_at=datetime.now(UTC),
        running=False,
    )


class World:
    """A session with one storage domain, and what there is in the database."""

    def __init__(self, session: AsyncSession, domain: StorageDomain, own_id: UUID) -> None:
        self.session, self.domain, self.own_id = session, domain, own_id

    async def attempt(
        self,
        state: ImportState,
        *,
        keep: bool = False,
        artifacts: tuple[str, ...] = ("attempt", "target"),
        **fields: Any,
    ) -> Attempt:
        """The attempt of an import that has done so far."""
        row = await add_import(self.session, self.domain, state=state, finished_at=datetime.now(UTC))
        row.spec = {**row.spec, "keep_on_failure": keep}
        attempt = await add_attempt(self.session, row, **fields)
        for kind in artifacts:
            self.session.add(Artifact(attempt_id=attempt.id, kind=kind))
        await self.session.flush()
        return attempt

    async def orphans(self, attempt_id: UUID, installation_id: UUID | None = None) -> list[OrphanKind]:
        """Which kinds of things with this mark would be nobody's."""
        things = [thing(kind, attempt_id, installation_id) for kind in OF_ATTEMPTS]
        found = await orphans.ownership(self.session, things)
        return [each.kind for each in things if found.is_orphan(each)]


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    site = await Site(database).build()
    async with database.session() as session:
        domain = await session.get_one(StorageDomain, site.domain_id)
        yield World(session, domain, await installation.current_id(session))


ALL = OF_ATTEMPTS


@pytest.mark.parametrize("state", [ImportState.QUEUED, ImportState.RUNNING, ImportState.CANCELLING])
async def test_a_live_import_owns_all_that_its_attempts_made(world: World, state: ImportState) -> None:
    attempt = await world.attempt(state, abandoned=True)
    assert await world.orphans(attempt.id, world.own_id) == []


@pytest.mark.parametrize("state", [ImportState.FAILED, ImportState.CANCELLED])
async def test_what_an_abandoned_attempt_left_is_nobody_s(world: World, state: ImportState) -> None:
    attempt = await world.attempt(state, keep=True, abandoned=True, outcome=state)
    assert await world.orphans(attempt.id) == ALL


async def test_a_failed_import_owns_what_it_was_to_keep_but_no_processes(world: World) -> None:
    attempt = await world.attempt(ImportState.FAILED, keep=True, outcome=Outcome.FAILED)
    assert await world.orphans(attempt.id) == [PROCESS]


async def test_a_failed_import_owns_nothing_that_is_not_on_record(world: World) -> None:
    attempt = await world.attempt(
        ImportState.FAILED, keep=True, outcome=Outcome.FAILED, artifacts=("target",)
    )
    assert await world.orphans(attempt.id) == [DIRECTORY, PROCESS]


async def test_without_keep_on_failure_nothing_is_kept(world: World) -> None:
    attempt = await world.attempt(ImportState.FAILED, outcome=Outcome.FAILED)
    assert await world.orphans(attempt.id) == ALL


async def test_an_earlier_attempt_of_a_failed_import_keeps_nothing(world: World) -> None:
    attempt = await world.attempt(ImportState.FAILED, keep=True, outcome=Outcome.FAILED)
    row = await world.session.get_one(VmImport, attempt.import_id)
    row.attempt += 1
    assert await world.orphans(attempt.id) == ALL


async def test_a_vm_that_is_there_owns_its_disks(world: World) -> None:
    vm = await add_vm(world.session, world.domain, state=VmState.ILLEGAL)
    attempt = await world.attempt(ImportState.FAILED, abandoned=True, facts={"target": {"vm_id": str(vm.id)}})
    assert await world.orphans(attempt.id) == [DIRECTORY, PROCESS]
    assert await world.orphans(vm.id, world.own_id) == []


async def test_what_the_database_does_not_know_is_ours_only_by_its_mark(world: World) -> None:
    assert await world.orphans(uuid4(), world.own_id) == ALL
    assert await world.orphans(uuid4(), uuid4()) == []
    assert await world.orphans(uuid4(), None) == []


async def test_a_known_attempt_is_ours_whatever_its_mark_says(world: World) -> None:
    attempt = await world.attempt(ImportState.CANCELLED, outcome=Outcome.CANCELLED)
    assert await world.orphans(attempt.id, uuid4()) == ALL


async def test_many_things_are_told_apart_at_once(world: World) -> None:
    attempt = await world.attempt(ImportState.CANCELLED)
    things = [thing(STORAGE, uuid4(), uuid4()) for _ in range(1200)]
    found = await orphans.ownership(world.session, [*things, thing(STORAGE, attempt.id)])
    assert sum(found.is_orphan(each) for each in things) == 0
    assert found.is_orphan(thing(STORAGE, attempt.id))


async def test_taking_is_newer_than_every_turn_before_and_older_than_a_retry_s(world: World) -> None:
    attempt = await world.attempt(ImportState.CANCELLED, proxy_host_id=HOST_ID)
    row = await world.session.get_one(VmImport, attempt.import_id)
    before = row.turn
    taken = await orphans.take(world.session, [thing(DIRECTORY, attempt.id)])
    assert (taken.turn, row.turn, taken.host_id) == (before + 1, before + 1, HOST_ID)
    assert len(taken.orphans) == 1


async def test_what_a_retry_has_taken_is_not_taken_again(world: World) -> None:
    attempt = await world.attempt(ImportState.CANCELLED)
    row = await world.session.get_one(VmImport, attempt.import_id)
    await imports.retry(world.session, row, ImportRetry())
    turn = row.turn
    taken = await orphans.take(world.session, [thing(DIRECTORY, attempt.id)])
    assert (taken.orphans, row.turn) == ((), turn)


async def test_the_last_thing_of_a_kind_is_forgotten_and_told_in_the_timeline(world: World) -> None:
    attempt = await world.attempt(ImportState.CANCELLED)
    for is_last in (False, True):
        await orphans.forget(world.session, thing(STORAGE, attempt.id), is_last=is_last)
        await world.session.flush()
        kept = await attempts.artifact(world.session, attempt.id, "target")
        assert (kept is None) is is_last
    assert await attempts.artifact(world.session, attempt.id, "attempt") is not None
    told = await timeline.page(world.session, attempt.import_id, after=None, limit=10)
    assert [entry.kind for entry in told][-2:] == ["orphan_removed", "orphan_removed"]


async def test_forgetting_what_the_database_does_not_know_is_fine(world: World) -> None:
    await orphans.forget(world.session, thing(STORAGE, uuid4()), is_last=True)


def test_an_id_names_the_place_and_sorts_by_time() -> None:
    older, newer = (thing(DIRECTORY, new_id()) for _ in range(2))
    assert older.id == thing(PROCESS, older.attempt_id).id
    assert older.id != thing(STORAGE, older.attempt_id).id
    assert older.id.version == 8
    assert older.id.int >> 80 <= newer.id.int >> 80
    assert tag_in(older.id) == place_tag(HOST_ID)
    assert tag_in(thing(STORAGE, older.attempt_id).id) == place_tag(DOMAIN_ID)


async def test_a_live_scan_owns_its_directory_and_what_is_left_of_an_ended_one_is_an_orphan(
    world: World,
) -> None:
    scan = Scan(proxy_host_id=HOST_ID, created_by="test", state=ScanState.RUNNING)
    world.session.add(scan)
    await world.session.flush()
    found = thing(DIRECTORY, scan.id, world.own_id)
    assert not (await orphans.ownership(world.session, [found])).is_orphan(found)
    scan.state = ScanState.FAILED
    await world.session.flush()
    assert (await orphans.ownership(world.session, [found])).is_orphan(found)
