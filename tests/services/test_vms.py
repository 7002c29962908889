"""VMs and disks: listed, read and forgotten."""

from uuid import uuid4

import pytest
from sqlalchemy import func, select

from app.db import Database
from app.errors import InUseError, NotFoundError
from app.models.attempts import Artifact
from app.models.state import ImportState
from app.models.vms import Disk, VmName, VmState
from app.services import vm_names, vms
from app.services.vms import VmFilter
from tests.support.records import add_attempt, add_import, add_vm
from tests.support.rows import data_center, storage_domain


async def test_vms_are_listed_newest_first_in_pages(database: Database) -> None:
    async with database.session() as session:
        domain = await storage_domain(session, (await data_center(session)).id)
        made = [await add_vm(session, domain, name=f"web-{number}", disks=2) for number in range(3)]
    async with database.reading() as session:
        first = await vms.page(session, VmFilter(), before=None, limit=2)
        second = await vms.page(session, VmFilter(), before=first[-1].id, limit=2)
        shown = await vms.publics(session, [*first, *second])
    assert [vm.id for vm in shown] == [vm.id for vm in reversed(made)]
    assert [len(vm.disk_ids) for vm in shown] == [2, 2, 2]


async def test_vms_are_found_by_what_they_belong_to_and_by_name(database: Database) -> None:
    async with database.session() as session:
        north, south = await data_center(session), await data_center(session, "south")
        domain, other = await storage_domain(session, north.id), await storage_domain(session, south.id)
        row = await add_import(session, domain)
        vm = await add_vm(session, domain, row=row, name="web")
        await add_vm(session, other, name="db")
    async with database.reading() as session:
        for wanted in (
            VmFilter(data_center_id=north.id),
            VmFilter(storage_domain_id=domain.id),
            VmFilter(import_id=row.id),
            VmFilter(name="web"),
        ):
            assert [found.id for found in await vms.page(session, wanted, before=None, limit=10)] == [vm.id]


async def test_disks_are_listed_by_vm(database: Database) -> None:
    async with database.session() as session:
        domain = await storage_domain(session, (await data_center(session)).id)
        vm = await add_vm(session, domain, name="web", disks=2)
        await add_vm(session, domain, name="db")
    async with database.reading() as session:
        found = await vms.disk_page(session, vm.id, before=None, limit=10)
        everything = await vms.disk_page(session, None, before=found[0].id, limit=10)
        assert vms.public_disk(await vms.get_disk(session, found[0].id)).location.path == "/srv/vms/web/web-2"
    assert [disk.number for disk in found] == [2, 1]
    assert [disk.id for disk in everything] == [found[1].id]


async def test_what_is_not_there_is_not_found(database: Database) -> None:
    async with database.reading() as session:
        with pytest.raises(NotFoundError):
            await vms.get(session, uuid4())
        with pytest.raises(NotFoundError):
            await vms.get_disk(session, uuid4())


async def test_a_vm_that_is_forgotten_frees_its_name_and_leaves_its_import(database: Database) -> None:
    async with database.session() as session:
        domain = await storage_domain(session, (await data_center(session)).id)
        row = await add_import(session, domain, state=ImportState.SUCCEEDED)
        vm = await add_vm(session, domain, row=row)
    async with database.session() as session:
        assert await vms.remove(session, await vms.locked(session, vm.id)) == row.id
    async with database.session() as session:
        await vm_names.check_free(session, domain.data_center_id, "web")
        for table in (Disk, VmName):
            assert (await session.execute(select(func.count()).select_from(table))).scalar() == 0


async def test_a_vm_in_use_is_not_removed(database: Database) -> None:
    async with database.session() as session:
        domain = await storage_domain(session, (await data_center(session)).id)
        locked = await add_vm(session, domain, name="a", state=VmState.LOCKED)
        retried = await add_vm(
            session, domain, name="b", row=await add_import(session, domain), state=VmState.ILLEGAL
        )
    for vm in (locked, retried):
        async with database.session() as session:
            with pytest.raises(InUseError):
                await vms.locked(session, vm.id)


async def test_what_a_failed_attempt_kept_is_found_by_its_vm(database: Database) -> None:
    async with database.session() as session:
        domain = await storage_domain(session, (await data_center(session)).id)
        row = await add_import(session, domain, state=ImportState.FAILED)
        vm = await add_vm(session, domain, row=row, state=VmState.ILLEGAL)
        attempt = await add_attempt(session, row, facts={"target": {"vm_id": str(vm.id)}})
        plan = {"directories": ["/srv/vms/web-1"]}
        session.add(Artifact(attempt_id=attempt.id, kind="target", details=plan))
        other = await add_vm(session, domain, name="other", row=row)
    async with database.reading() as session:
        assert await vms.kept_plan(session, vm) == (plan, attempt.id)
        assert await vms.kept_plan(session, other) is None
