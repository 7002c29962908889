"""Deleting VMs with their disks, on a real proxy host, after imports by a tiny virt-v2v."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.actions.delete_vm import delete_vm, forget_vm
from app.errors import (
    ConflictError,
    DomainUnusableError,
    HostError,
    InUseError,
    NotFoundError,
    PreconditionFailedError,
)
from app.jobs.advance_import import advance_import
from app.models.storage_domains import StorageDomain
from app.models.vms import Vm, VmState
from app.services import vm_names, vms
from tests.support.engine import MIB, Engine
from tests.support.records import add_vm
from tests.support.rows import SEALER


async def imported(engine: Engine, **members: object) -> Vm:
    """A VM whose import has ended, well or not."""
    context = await engine.context()
    import_id = await engine.queue(vm={"name": "web one"}, **members)
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert row.vm_id is not None
    return await found(engine, row.vm_id)


async def found(engine: Engine, vm_id: UUID) -> Vm:
    async with engine.database.reading() as session:
        return await vms.get(session, vm_id)


async def delete(engine: Engine, vm_id: UUID) -> UUID | None:
    return await delete_vm(engine.database, SEALER, engine.proxies, vm_id, accept)


def accept(vm: Vm) -> None:
    """Whatever its version is."""


async def test_the_disks_go_and_the_name_is_free(engine: Engine) -> None:
    vm = await imported(engine)
    neighbour = engine.store / "neighbour"
    neighbour.mkdir()
    assert await delete(engine, vm.id) == vm.import_id
    assert engine.left_on_the_host() == [str(neighbour)]
    async with engine.database.session() as session:
        await vm_names.check_free(session, vm.data_center_id, "web one")
    assert vm.import_id is not None
    assert (await engine.site.row(vm.import_id)).vm_id is None
    with pytest.raises(NotFoundError):
        await delete(engine, vm.id)


async def test_a_vm_that_is_only_forgotten_leaves_its_disks(engine: Engine) -> None:
    vm = await imported(engine)
    before = engine.left_on_the_host()
    assert await forget_vm(engine.database, vm.id, accept) == vm.import_id
    assert engine.left_on_the_host() == before != []


async def test_what_was_kept_of_a_failed_import_is_deleted(engine: Engine) -> None:
    engine.virt_v2v.plan(size_bytes=MIB)
    vm = await imported(engine, keep_on_failure=True)
    assert vm.state == VmState.ILLEGAL
    await delete(engine, vm.id)
    assert not any(engine.store.iterdir())


async def test_a_deletion_that_stopped_half_way_goes_on(engine: Engine) -> None:
    vm = await imported(engine)
    (directory,) = engine.store.iterdir()
    # Another's marker: the agent refuses to touch the directory.
    marker = directory / ".v2v-import-attempt"
    marker.write_text(str(uuid4()))
    with pytest.raises(DomainUnusableError):
        await delete(engine, vm.id)
    assert (await found(engine, vm.id)).state == VmState.ILLEGAL
    marker.unlink()
    await delete(engine, vm.id)
    assert not any(engine.store.iterdir())


async def test_disks_that_are_gone_already_are_no_trouble(engine: Engine) -> None:
    vm = await imported(engine)
    (directory,) = engine.store.iterdir()
    directory.rename(Path(f"{directory}-moved"))
    await delete(engine, vm.id)


async def test_without_a_proxy_host_nothing_changes(engine: Engine) -> None:
    vm = await imported(engine)
    await engine.set_host(port=1)
    with pytest.raises(HostError):
        await delete(engine, vm.id)
    assert (await found(engine, vm.id)).state == VmState.DOWN


async def test_another_proxy_host_does_it_where_one_can_not_be_reached(engine: Engine) -> None:
    vm = await imported(engine)
    await engine.second_host()
    await engine.set_host(port=1)
    await delete(engine, vm.id)
    assert not any(engine.store.iterdir())


async def test_a_vm_that_is_being_imported_is_not_deleted(engine: Engine) -> None:
    context = await engine.context()
    engine.virt_v2v.hold()
    import_id = await engine.queue()
    await advance_import(context, import_id)
    vm_id = (await engine.site.row(import_id)).vm_id
    assert vm_id is not None
    with pytest.raises(InUseError):
        await delete(engine, vm_id)


async def test_a_vm_that_has_changed_is_not_deleted(engine: Engine) -> None:
    vm = await imported(engine)

    def refuse(_: Vm) -> None:
        raise PreconditionFailedError

    with pytest.raises(PreconditionFailedError):
        await delete_vm(engine.database, SEALER, engine.proxies, vm.id, refuse)
    assert any(engine.store.iterdir())


async def test_a_vm_of_which_nothing_is_known_is_only_forgotten(engine: Engine) -> None:
    async with engine.database.session() as session:
        domain = await session.get_one(StorageDomain, engine.site.domain_id)
        vm = await add_vm(session, domain, state=VmState.ILLEGAL)
    with pytest.raises(ConflictError):
        await delete(engine, vm.id)
    await forget_vm(engine.database, vm.id, accept)
