"""Imports as records: made, cancelled, retried, changed, forgotten; and which moves are allowed."""

from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from app.db import Database
from app.errors import (
    ConflictError,
    ImportEndedError,
    ImportNotEndedError,
    ImportNotQueuedError,
    ImportNotRetryableError,
    NameInUseError,
    NotFoundError,
    UnknownReferenceError,
)
from app.models.attempts import Artifact, Attempt, Outcome, TimelineEntry
from app.models.imports import Direction, ImportPatch, VmImport
from app.models.state import MOVES, ImportState
from app.models.storage_domains import StorageDomain
from app.services import attempts, imports, timeline
from app.services.specs import ImportRetry
from tests.support.rows import SEALER, Site, vm_import


@pytest.fixture
async def site(database: Database) -> Site:
    return await Site(database).build()


async def _cancel(site: Site, import_id: UUID, *, force: bool = False) -> None:
    async with site.database.session() as session:
        await imports.cancel(session, await imports.get_locked(session, import_id), force=force)


async def _retry(site: Site, import_id: UUID, body: ImportRetry | None = None) -> None:
    async with site.database.session() as session:
        await imports.retry(session, await imports.get_locked(session, import_id), body or ImportRetry())


async def _fail(site: Site, import_id: UUID, *, keeps: bool = False) -> None:
    async with site.database.session() as session:
        row = await imports.get_locked(session, import_id)
        attempt = await attempts.current(session, row)
        assert attempt is not None
        if keeps:
            await attempts.record(session, attempt, "target", {})
        await attempts.end(session, attempt, Outcome.FAILED)
        await imports.end(session, row, ImportState.FAILED)


@pytest.mark.parametrize("before", ImportState)
@pytest.mark.parametrize("after", ImportState)
def test_a_state_moves_only_as_the_table_allows(before: ImportState, after: ImportState) -> None:
    row = VmImport(spec={}, data_center_id=uuid4(), created_by="test", state=before)
    if after in MOVES[before]:
        imports.move(row, after)
        assert (row.state, row.version) == (after, 2)
    else:
        with pytest.raises(ConflictError):
            imports.move(row, after)


async def test_a_new_import_is_queued_and_keeps_no_secret_in_the_open(site: Site) -> None:
    async with site.database.session() as session:
        domain = await session.get_one(StorageDomain, site.domain_id)
        row = await vm_import(session, domain, conversion={"luks_keys": ["sesame"]})
    assert row.state == ImportState.QUEUED
    assert "sesame" not in str(row.spec)
    opened = SEALER.open(row.sealed_secrets, f"vm_imports:{row.id}")
    assert opened == {"luks_key_0": SecretStr("sesame")}


async def test_secrets_are_gone_when_an_import_has_succeeded(site: Site) -> None:
    import_id = await site.queue(conversion={"luks_keys": ["sesame"]})
    await site.admit()
    async with site.database.session() as session:
        await imports.end(session, await imports.get(session, import_id), ImportState.SUCCEEDED)
    assert (await site.row(import_id)).sealed_secrets is None


async def test_an_unknown_domain_or_host_is_refused_with_its_pointer(site: Site) -> None:
    for name in ("storage_domain_id", "proxy_host_id"):
        with pytest.raises(UnknownReferenceError) as caught:
            await site.queue(**{name: str(uuid4())})
        assert caught.value.errors[0].pointer == f"/{name}"


async def test_what_waits_is_cancelled_at_once(site: Site) -> None:
    import_id = await site.queue()
    await _cancel(site, import_id)
    row = await site.row(import_id)
    assert (row.state, row.finished_at is None) == ("cancelled", False)


async def test_what_runs_is_cancelled_by_its_next_turn(site: Site) -> None:
    import_id = await site.queue()
    await site.admit()
    wakes = (await site.row(import_id)).wakes
    await _cancel(site, import_id)
    await _cancel(site, import_id, force=True)
    row = await site.row(import_id)
    assert (row.state, row.force_cancel, row.wakes) == ("cancelling", True, wakes + 2)


async def test_cancelling_twice_is_fine_and_after_the_end_it_is_not(site: Site) -> None:
    import_id = await site.queue()
    await _cancel(site, import_id)
    await _cancel(site, import_id)
    failed = await site.queue(path="/srv/2.img")
    await site.admit()
    await _fail(site, failed)
    with pytest.raises(ImportEndedError):
        await _cancel(site, failed)


async def test_only_what_failed_or_was_cancelled_is_retried(site: Site) -> None:
    import_id = await site.queue()
    with pytest.raises(ImportNotRetryableError):
        await _retry(site, import_id)
    await site.admit()
    await _fail(site, import_id)
    await _retry(site, import_id)
    row = await site.row(import_id)
    assert (row.state, row.attempt, row.direction, row.problem) == ("queued", 2, Direction.FORWARD, None)


async def test_a_retry_of_what_never_began_is_still_the_first_attempt(site: Site) -> None:
    import_id = await site.queue()
    await _cancel(site, import_id)
    await _retry(site, import_id)
    assert (await site.row(import_id)).attempt == 1


async def test_a_retry_first_clears_what_the_last_attempt_kept(site: Site) -> None:
    import_id = await site.queue(keep_on_failure=True)
    await site.admit()
    await _fail(site, import_id, keeps=True)
    await _retry(site, import_id)
    assert (await site.row(import_id)).direction == Direction.BACK
    assert await site.admit() == []


async def test_a_retry_may_name_another_host_and_accept_concerns(site: Site) -> None:
    import_id = await site.queue()
    other = await site.host(name="proxy-2")
    await _cancel(site, import_id)
    await _retry(site, import_id, ImportRetry(proxy_host_id=other, accept_concerns=("no_disks",)))
    spec = (await site.row(import_id)).spec
    assert (spec["proxy_host_id"], spec["accept_concerns"]) == (str(other), ["no_disks"])
    await site.admit()
    assert (await site.row(import_id)).proxy_host_id == other


async def test_a_retry_takes_its_name_again_or_says_that_it_is_taken(site: Site) -> None:
    import_id = await site.queue(vm={"name": "web"})
    await _cancel(site, import_id)
    await site.queue(vm={"name": "web"})
    with pytest.raises(NameInUseError):
        await _retry(site, import_id)
    assert (await site.row(import_id)).state == "cancelled"


async def test_only_a_queued_import_is_changed(site: Site) -> None:
    import_id = await site.queue(labels={"a": "1"})
    async with site.database.session() as session:
        row = await imports.get_locked(session, import_id)
        await imports.patch(session, row, ImportPatch(priority=9, labels={"a": None, "b": "2"}))
    row = await site.row(import_id)
    assert (row.priority, row.labels, row.spec["priority"]) == (9, {"b": "2"}, 9)
    await site.admit()
    async with site.database.session() as session:
        with pytest.raises(ImportNotQueuedError):
            await imports.patch(session, await imports.get(session, import_id), ImportPatch(priority=1))


async def test_a_forgotten_import_takes_its_history_with_it(site: Site) -> None:
    import_id = await site.queue(labels={"a": "1"})
    await site.admit()
    with pytest.raises(ImportNotEndedError):
        async with site.database.session() as session:
            await imports.remove(session, await imports.get(session, import_id))
    await _fail(site, import_id, keeps=True)
    async with site.database.session() as session:
        await imports.remove(session, await imports.get(session, import_id))
    with pytest.raises(NotFoundError):
        await site.row(import_id)
    async with site.database.reading() as session:
        for table in (Attempt, Artifact, TimelineEntry):
            assert (await session.execute(select(table))).all() == []


async def test_the_timeline_tells_what_happened_in_order(site: Site) -> None:
    import_id = await site.queue()
    await site.admit()
    await _cancel(site, import_id)
    async with site.database.reading() as session:
        kinds = [entry.kind for entry in await timeline.page(session, import_id, after=None, limit=10)]
        first = (await timeline.page(session, import_id, after=None, limit=1))[0]
        rest = await timeline.page(session, import_id, after=first.id, limit=10)
    assert kinds == ["created", "admitted", "cancel_requested"]
    assert [entry.kind for entry in rest] == kinds[1:]


async def test_position_and_reason_of_what_waits(site: Site) -> None:
    low = await site.queue(priority=1)
    high = await site.queue(path="/srv/2.img", priority=9)
    later = await site.queue(path="/srv/3.img", start_after="2999-01-01T00:00:00Z")
    async with site.database.reading() as session:
        rows = [await imports.get(session, import_id) for import_id in (low, high, later)]
        shown = await imports.publics(session, rows)
    queues = [item.queue for item in shown]
    assert [queue.position if queue else None for queue in queues] == [2, 1, 3]
    assert queues[2] is not None
    assert "2999-01-01" in queues[2].reason


async def test_what_clients_were_not_told_is_found(site: Site) -> None:
    import_id = await site.queue()
    async with site.database.session() as session:
        assert await imports.untold(session) == [import_id]
        await imports.told(session, import_id, 1)
        assert await imports.untold(session) == []
        await imports.told(session, import_id, 0)
    assert (await site.row(import_id)).published_version == 1


async def test_how_many_are_in_each_state(site: Site) -> None:
    await site.queue()
    await _cancel(site, await site.queue(path="/srv/2.img"))
    async with site.database.reading() as session:
        found = await imports.counts(session)
    assert (found["queued"], found["cancelled"], found["running"]) == (1, 1, 0)
