"""VMs and disks over HTTP."""

from uuid import uuid4

import httpx
import pytest

from app.models.state import ImportState
from app.models.vms import Vm, VmState
from tests.support.records import add_import, add_vm
from tests.support.rows import data_center, storage_domain
from tests.support.running_api import RunningApi


async def made(live_api: RunningApi, **fields: object) -> Vm:
    async with live_api.database.session() as session:
        domain = await storage_domain(session, (await data_center(session)).id)
        row = await add_import(session, domain, state=ImportState.SUCCEEDED)
        return await add_vm(session, domain, row=row, **fields)


async def test_vms_and_disks_are_listed_and_read(live_api: RunningApi) -> None:
    vm = await made(live_api, disks=2)
    (shown,) = (await live_api.admin.get(f"/v1/vms?name=web&import_id={vm.import_id}")).json()["items"]
    one = await live_api.admin.get(f"/v1/vms/{vm.id}")
    disks = (await live_api.admin.get(f"/v1/disks?vm_id={vm.id}")).json()["items"]
    disk = await live_api.admin.get(f"/v1/disks/{disks[0]['id']}")
    assert (one.json(), one.headers["ETag"]) == (shown, '"1"')
    assert shown["disk_ids"] == [found["id"] for found in reversed(disks)]
    assert (disk.json(), disk.headers["ETag"]) == (disks[0], '"1"')
    assert (await live_api.admin.get("/v1/vms?name=other")).json() == {"items": [], "next_cursor": None}


async def test_vms_come_in_pages(live_api: RunningApi) -> None:
    vm = await made(live_api, name="a")
    async with live_api.database.session() as session:
        domain = await storage_domain(session, vm.data_center_id, name="other")
        await add_vm(session, domain, name="b")
    first = (await live_api.admin.get("/v1/vms?limit=1")).json()
    second = (await live_api.admin.get(f"/v1/vms?limit=1&cursor={first['next_cursor']}")).json()
    assert [item["name"] for item in first["items"] + second["items"]] == ["b", "a"]
    assert second["next_cursor"] is None


async def test_the_metadata_comes_as_it_was_written(live_api: RunningApi) -> None:
    kind = "application/xml; kind=libvirt-domain"
    vm = await made(live_api, metadata_type=kind, metadata_text="<domain>ä</domain>")
    answer = await live_api.admin.get(f"/v1/vms/{vm.id}/metadata")
    assert (answer.headers["content-type"], answer.content.decode()) == (kind, "<domain>ä</domain>")


async def test_a_vm_without_metadata_has_none(live_api: RunningApi) -> None:
    vm = await made(live_api)
    assert (await live_api.admin.get(f"/v1/vms/{vm.id}/metadata")).status_code == httpx.codes.NOT_FOUND


async def test_a_vm_is_forgotten_and_its_import_told(live_api: RunningApi) -> None:
    vm = await made(live_api)
    path = f"/v1/vms/{vm.id}"
    listener = await live_api.listen("/v1/events")
    await listener.next()
    stale = await live_api.admin.delete(path, headers={"If-Match": '"7"'})
    assert stale.status_code == httpx.codes.PRECONDITION_FAILED
    assert (await live_api.admin.delete(path, headers={"If-Match": '"1"'})).status_code == 204
    assert (await live_api.admin.get(path)).status_code == httpx.codes.NOT_FOUND
    told = await listener.next()
    assert (told.data["id"], told.data["vm_id"]) == (str(vm.import_id), None)


async def test_a_locked_vm_is_not_deleted(live_api: RunningApi) -> None:
    vm = await made(live_api, state=VmState.LOCKED)
    answer = await live_api.admin.delete(f"/v1/vms/{vm.id}?delete_disks=true")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")


async def test_disks_that_no_proxy_host_reaches_are_not_deleted(live_api: RunningApi) -> None:
    vm = await made(live_api, made={"directories": ["/srv/store/web"]})
    answer = await live_api.admin.delete(f"/v1/vms/{vm.id}?delete_disks=true")
    assert (answer.status_code, answer.json()["code"]) == (503, "host_unreachable")
    assert "Retry-After" in answer.headers
    assert (await live_api.admin.get(f"/v1/vms/{vm.id}")).json()["state"] == "down"


@pytest.mark.parametrize("path", ["vms/{}", "vms/{}/metadata", "disks/{}"])
async def test_what_is_not_there_is_not_found(live_api: RunningApi, path: str) -> None:
    assert (await live_api.admin.get(f"/v1/{path.format(uuid4())}")).status_code == httpx.codes.NOT_FOUND
