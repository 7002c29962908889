"""Orphans on a real proxy host: found, told apart from what others own, and removed whole."""

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.actions.find_orphans import find_orphans
from app.actions.look_for_marks import look_for_marks
from app.actions.remove_orphans import remove_orphans
from app.errors import FencedError, HostConnectionLostError, InUseError
from app.jobs.advance_import import advance_import
from app.models.orphans import Orphan, OrphanKind, OrphanRemoval, UnreachablePlace
from app.models.storage_domains import StorageDomain
from app.models.vms import Vm
from app.proxy.agent.marks import MARKER_NAME
from app.proxy.agent_client import HostAgent, JobState
from app.proxy.pool import ProxyPool
from app.services import attempts, imports, installation, orphans, proxy_hosts, vms
from tests.support.engine import MIB, Engine
from tests.support.rows import SEALER
from tests.support.waiting import until

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What is asked of the database is tested on both in tests/services."""
OTHERS_ID = UUID(int=2)
DIRECTORY, PROCESS, STORAGE, _ = OrphanKind


async def look(engine: Engine) -> tuple[list[Orphan], list[UnreachablePlace]]:
    found, unreachable = await find_orphans(engine.database, SEALER, engine.proxies)
    return found, list(unreachable)


async def listed(engine: Engine) -> list[OrphanKind]:
    return sorted(orphan.kind for orphan in (await look(engine))[0])


async def remove(engine: Engine, *ids: UUID, grace_seconds: float = 0.2) -> list[OrphanRemoval]:
    removals = await remove_orphans(engine.database, SEALER, engine.proxies, ids, grace_seconds=grace_seconds)
    assert [removal.id for removal in removals] == list(ids)
    return list(removals)


async def remove_all(engine: Engine) -> list[str]:
    """The outcomes; what is told as removed is gone."""
    found, _ = await look(engine)
    return [str(removal.outcome) for removal in await remove(engine, *(orphan.id for orphan in found))]


async def agent_of(engine: Engine, proxies: ProxyPool | None = None) -> HostAgent:
    async with engine.database.reading() as session:
        host = await proxy_hosts.get(session, engine.site.host_id)
    return await (proxies or engine.proxies).agent(proxy_hosts.host_address(host, SEALER))


async def running(engine: Engine, **members: object) -> UUID:
    """An import whose virt-v2v runs."""
    engine.virt_v2v.hold()
    import_id = await engine.queue(**members)
    await advance_import(await engine.context(), import_id)
    assert (await engine.site.row(import_id)).step == "convert_disks"
    return import_id


async def abandoned(engine: Engine) -> UUID:
    """An import that was cancelled by force while its host could not be reached."""
    import_id = await running(engine)
    await engine.set_host(port=1)
    await engine.cancel(import_id, force=True)
    row = await engine.drive(await engine.context(), import_id)
    assert row.state == "cancelled"
    await engine.set_host(port=engine.sshd.port)
    return import_id


async def kept(engine: Engine) -> UUID:
    """An import that failed and kept what it made."""
    engine.virt_v2v.plan(size_bytes=MIB)
    context = await engine.context()
    import_id = await engine.queue(keep_on_failure=True)
    async with engine.watching(context):
        assert (await engine.drive(context, import_id)).state == "failed"
    return import_id


async def artifacts_of(engine: Engine, import_id: UUID) -> list[str]:
    attempt = await engine.site.attempt(import_id)
    async with engine.database.reading() as session:
        return [
            kind
            for kind in ("attempt", "target")
            if await attempts.artifact(session, attempt.id, kind) is not None
        ]


async def delete(engine: Engine, import_id: UUID) -> None:
    async with engine.database.session() as session:
        await imports.remove(session, await imports.get_locked(session, import_id))


async def test_what_a_live_import_made_is_no_orphan(engine: Engine) -> None:
    await running(engine)
    assert await look(engine) == ([], [])


async def test_what_was_left_running_is_listed_ended_and_removed(engine: Engine) -> None:
    import_id = await abandoned(engine)
    found, _ = await look(engine)
    attempt = await engine.site.attempt(import_id)
    assert {(orphan.kind, orphan.running, orphan.import_id, orphan.attempt_id) for orphan in found} == {
        (kind, True, import_id, attempt.id) for kind in (DIRECTORY, STORAGE)
    }
    assert {orphan.path for orphan in found} >= {f"{engine.work_dir}/attempts/{attempt.id}"}
    assert all(orphan.created_at and orphan.size_bytes for orphan in found)
    assert await artifacts_of(engine, import_id) == ["attempt", "target"]
    assert await remove_all(engine) == ["removed", "removed"]
    assert (await (await agent_of(engine)).status(attempt.id)).state is JobState.ABSENT
    assert engine.left_on_the_host() == []
    assert await look(engine) == ([], [])
    assert await artifacts_of(engine, import_id) == []


async def given_up_at_its_end(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """An import that took the marks off, lost its host before it could say so, and was cancelled by force."""

    async def lost(_: HostAgent, attempt_id: UUID, turn: int) -> None:
        await engine.set_host(port=1)
        raise HostConnectionLostError("The connection was lost.")

    context = await engine.context()
    import_id = await engine.queue()
    with monkeypatch.context() as patched:
        patched.setattr(HostAgent, "remove_attempt", lost)
        async with engine.watching(context), asyncio.TaskGroup() as group:
            driven = group.create_task(engine.drive(context, import_id))
            await until(lambda: _is_troubled(engine, import_id))
            await engine.cancel(import_id, force=True)
            assert (await driven).state == "cancelled"
    await engine.set_host(port=engine.sshd.port)
    return import_id


async def _is_troubled(engine: Engine, import_id: UUID) -> bool:
    row = await engine.site.row(import_id)
    return row.step == "release_target" and row.retry is not None


async def test_what_was_given_up_while_its_marks_were_taken_off_is_found_and_removed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = await given_up_at_its_end(engine, monkeypatch)
    assert not list(engine.store.rglob(MARKER_NAME))
    found, _ = await look(engine)
    assert {(orphan.kind, orphan.import_id) for orphan in found} == {
        (DIRECTORY, import_id),
        (STORAGE, import_id),
    }
    assert await remove_all(engine) == ["removed", "removed"]
    assert engine.left_on_the_host() == []
    assert await artifacts_of(engine, import_id) == []


async def test_its_import_stays_on_record_until_it_is_marked_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = await given_up_at_its_end(engine, monkeypatch)
    with pytest.raises(InUseError):
        await delete(engine, import_id)
    await look(engine)
    await delete(engine, import_id)
    assert await remove_all(engine) == ["removed", "removed"]
    assert engine.left_on_the_host() == []


async def test_it_is_marked_again_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    await given_up_at_its_end(engine, monkeypatch)
    await look(engine)
    [marker] = engine.store.rglob(MARKER_NAME)
    marker.unlink()
    assert await listed(engine) == [DIRECTORY]


async def test_what_somebody_else_has_made_there_meanwhile_is_left_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = await given_up_at_its_end(engine, monkeypatch)
    [directory] = engine.store.iterdir()
    (directory / MARKER_NAME).write_text(f"{OTHERS_ID}\n{OTHERS_ID}\n")
    assert await listed(engine) == [DIRECTORY]
    assert directory.is_dir()
    # Nothing is left for which the import would have to stay on record.
    await delete(engine, import_id)


async def test_one_part_is_removed_and_only_that_is_forgotten(engine: Engine) -> None:
    import_id = await abandoned(engine)
    [storage] = [orphan for orphan in (await look(engine))[0] if orphan.kind is STORAGE]
    assert [removal.outcome for removal in await remove(engine, storage.id)] == ["removed"]
    assert await artifacts_of(engine, import_id) == ["attempt"]
    # Nothing of the attempt may go on writing there.
    attempt = await engine.site.attempt(import_id)
    assert (await (await agent_of(engine)).status(attempt.id)).state is not JobState.RUNNING
    assert await listed(engine) == [DIRECTORY]


async def test_asking_again_finds_it_gone(engine: Engine) -> None:
    await abandoned(engine)
    ids = [orphan.id for orphan in (await look(engine))[0]]
    await remove(engine, *ids)
    again = await remove(engine, *ids, uuid4())
    assert [removal.outcome for removal in again] == ["gone", "gone", "gone"]


async def test_two_who_remove_together_leave_nothing(engine: Engine) -> None:
    await abandoned(engine)
    ids = [orphan.id for orphan in (await look(engine))[0]]
    await asyncio.gather(remove(engine, *ids), remove(engine, *ids))
    assert await look(engine) == ([], [])
    assert engine.left_on_the_host() == []


async def test_another_installation_s_attempts_are_none_of_our_business(engine: Engine) -> None:
    async def others() -> UUID:
        return OTHERS_ID

    proxies = ProxyPool(others)
    try:
        agent = await agent_of(engine, proxies)
        attempt_id = uuid4()
        await agent.create_attempt(attempt_id, 1)
        await agent.make_dir(str(engine.store / "theirs"), attempt_id, 1)
        await agent.launch(attempt_id, 1, ["sleep", "60"], environment={}, secret_files=[])
        await abandoned(engine)
        assert await listed(engine) == [DIRECTORY, STORAGE]
        await remove_all(engine)
        assert (await agent.status(attempt_id)).state is JobState.RUNNING
        assert [entry.name for entry in engine.store.iterdir()] == ["theirs"]
    finally:
        await proxies.close()


async def test_what_a_failed_import_keeps_is_an_orphan_once_the_import_is_deleted(engine: Engine) -> None:
    import_id = await kept(engine)
    assert await listed(engine) == []
    vm_id = (await engine.site.row(import_id)).vm_id
    assert vm_id is not None
    async with engine.database.session() as session:
        await vms.remove(session, await vms.locked(session, vm_id))
    async with engine.database.session() as session:
        await imports.remove(session, await imports.get_locked(session, import_id))
    found, _ = await look(engine)
    assert sorted(orphan.kind for orphan in found) == [DIRECTORY, STORAGE]
    assert {orphan.import_id for orphan in found} == {None}
    assert await remove_all(engine) == ["removed", "removed"]
    assert engine.left_on_the_host() == []


async def test_what_a_retry_took_is_left_to_it(engine: Engine) -> None:
    import_id = await abandoned(engine)
    ids = [orphan.id for orphan in (await look(engine))[0]]
    await engine.retry(import_id)
    assert [removal.outcome for removal in await remove(engine, *ids)] == ["owned", "owned"]
    engine.virt_v2v.let_go()
    context = await engine.context()
    await advance_import(context, import_id)
    await engine.site.admit()
    async with engine.watching(context):
        assert (await engine.drive(context, import_id)).state == "succeeded"
    assert await look(engine) == ([], [])


async def test_a_removal_that_comes_late_changes_nothing_that_a_retry_has_cleared(engine: Engine) -> None:
    import_id = await abandoned(engine)
    attempt_id = (await engine.site.attempt(import_id)).id
    looked = await look_for_marks(engine.database, SEALER, engine.proxies)
    things = [thing for thing in looked.things if thing.attempt_id == attempt_id]
    async with engine.database.session() as session:
        taken = await orphans.take(session, things)
    assert len(taken.orphans) == 2
    await engine.retry(import_id)
    await advance_import(await engine.context(), import_id)
    agent = await agent_of(engine)
    with pytest.raises(FencedError):
        await agent.remove_attempt(attempt_id, taken.turn)
    with pytest.raises(FencedError):
        await agent.remove_tree(str(engine.store / "anything"), attempt_id, taken.turn)
    assert engine.left_on_the_host() == []


async def test_a_vm_owns_the_disks_that_are_being_deleted_with_it(engine: Engine) -> None:
    async with engine.database.session() as session:
        domain = await session.get_one(StorageDomain, engine.site.domain_id)
        vm = Vm(name="web", data_center_id=domain.data_center_id, storage_domain_id=domain.id)
        session.add(vm)
    agent = await agent_of(engine)
    (engine.store / "web").mkdir()
    await agent.mark(str(engine.store / "web"), vm.id, 1)
    assert await listed(engine) == []
    async with engine.database.session() as session:
        await session.delete(await vms.get(session, vm.id))
    assert await remove_all(engine) == ["removed"]
    assert list(engine.store.iterdir()) == []


async def test_processes_whose_directory_is_gone_are_ended(engine: Engine, tmp_path: Path) -> None:
    import_id = await abandoned(engine)
    attempt = await engine.site.attempt(import_id)
    hide(engine, attempt.id, tmp_path)
    assert await listed(engine) == [PROCESS, STORAGE]
    assert await remove_all(engine) == ["removed", "removed"]
    assert (await (await agent_of(engine)).status(attempt.id)).state is JobState.ABSENT


def hide(engine: Engine, attempt_id: UUID, directory: Path) -> None:
    """As when somebody empties the host's work directory."""
    (engine.work_dir / "attempts" / str(attempt_id)).rename(directory / "attempt")
    (engine.work_dir / "t" / str(attempt_id)[-12:]).rename(directory / "t")


async def test_a_host_that_can_not_be_reached_is_told_and_nothing_fails(engine: Engine) -> None:
    await abandoned(engine)
    ids = [orphan.id for orphan in (await look(engine))[0]]
    await engine.set_host(port=1)
    found, unreachable = await look(engine)
    assert found == []
    assert [(place.proxy_host_id, place.problem.code) for place in unreachable] == [
        (engine.site.host_id, "host_unreachable")
    ]
    removals = await remove(engine, *ids)
    assert {(removal.outcome, removal.problem and removal.problem.status) for removal in removals} == {
        ("failed", 503)
    }
    assert engine.left_on_the_host() != []


async def test_what_two_records_of_one_host_see_is_listed_once(engine: Engine) -> None:
    await abandoned(engine)
    await engine.second_host()
    found, _ = await look(engine)
    assert sorted(orphan.kind for orphan in found) == [DIRECTORY, STORAGE]
    assert {orphan.proxy_host_id for orphan in found} == {engine.site.host_id}
    assert await remove_all(engine) == ["removed", "removed"]


async def test_storage_is_not_removed_while_its_own_host_may_still_write_there(engine: Engine) -> None:
    await abandoned(engine)
    await engine.second_host()
    await engine.set_host(port=1)
    found, _ = await look(engine)
    [storage] = [orphan for orphan in found if orphan.kind is STORAGE]
    [removal] = await remove(engine, storage.id)
    assert (removal.outcome, removal.problem and removal.problem.code) == ("failed", "host_unreachable")


async def test_a_domain_that_no_host_can_read_is_told(engine: Engine) -> None:
    engine.store.rmdir()
    _, unreachable = await look(engine)
    assert [(place.storage_domain_id, place.problem.code) for place in unreachable] == [
        (engine.site.domain_id, "storage_domain_unusable")
    ]


async def test_a_domain_whose_record_can_not_be_read_is_told_and_hides_no_other(engine: Engine) -> None:
    await abandoned(engine)
    async with engine.database.session() as session:
        broken = StorageDomain(
            data_center_id=engine.site.data_center_id, name="broken", kind="directory", settings={"path": 1}
        )
        session.add(broken)
    found, unreachable = await look(engine)
    assert sorted(orphan.kind for orphan in found) == [DIRECTORY, STORAGE]
    assert [place.storage_domain_id for place in unreachable] == [broken.id]


@pytest.mark.parametrize("is_ours", [True, False])
async def test_a_marker_of_an_older_version_is_ours_only_if_the_attempt_is_known(
    engine: Engine, *, is_ours: bool
) -> None:
    import_id = await abandoned(engine)
    await remove_all(engine)
    attempt_id = (await engine.site.attempt(import_id)).id if is_ours else uuid4()
    (engine.store / "old").mkdir()
    (engine.store / "old" / ".v2v-import-attempt").write_text(str(attempt_id))
    assert await listed(engine) == ([STORAGE] if is_ours else [])


async def test_an_installation_has_one_id(engine: Engine) -> None:
    async with engine.database.reading() as session:
        mine = await installation.current_id(session)
    assert await installation.read_id(engine.database) == mine
