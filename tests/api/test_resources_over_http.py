"""What all resources have in common: ETags, merge patches, pages, roles, and who uses what."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from app.models.storage_domains import StorageDomain
from tests.support.api import Api, pointers, problem_of
from tests.support.records import add_import, add_vm

CENTERS = "/v1/data-centers"


async def test_a_resource_is_made_read_changed_and_removed(api: Api) -> None:
    body = {"name": "north", "networks": [{"name": "servers"}]}
    made = await api.admin.post(CENTERS, json=body)
    path = made.headers["Location"]
    assert (made.status_code, made.headers["ETag"]) == (201, '"1"')
    assert made.json() == body | {
        "id": path.rsplit("/", 1)[-1],
        "description": "",
        "networks": [{"name": "servers", "description": ""}],
        "problem": None,
    }
    changed = await api.admin.patch(path, json={"description": "Rooms 1 and 2"})
    read = await api.viewer.get(path)
    assert changed.json() == read.json() == made.json() | {"description": "Rooms 1 and 2"}
    assert changed.headers["ETag"] == read.headers["ETag"] == '"2"'
    assert (await api.admin.delete(path)).status_code == httpx.codes.NO_CONTENT
    assert problem_of(await api.admin.get(path)) == (404, "not_found")


@pytest.mark.parametrize("content_type", ["application/merge-patch+json", "application/json; charset=utf-8"])
async def test_a_patch_comes_as_json_of_either_type(api: Api, content_type: str) -> None:
    path = f"{CENTERS}/{await api.center()}"
    answer = await api.admin.patch(path, content=b'{"name": "s"}', headers={"Content-Type": content_type})
    assert answer.json()["name"] == "s"


async def test_a_change_of_nothing_is_no_change(api: Api) -> None:
    path = f"{CENTERS}/{await api.center()}"
    for change in ({}, {"name": "north"}):
        assert (await api.admin.patch(path, json=change)).headers["ETag"] == '"1"'


async def test_a_stale_etag_stops_the_change(api: Api) -> None:
    path = f"{CENTERS}/{await api.center()}"
    for tag in ('"7"', 'W/"1"', '"2", "3"'):
        for method, json in (("PATCH", {"name": "south"}), ("DELETE", None)):
            answer = await api.admin.request(method, path, json=json, headers={"If-Match": tag})
            assert problem_of(answer) == (412, "precondition_failed")
    for tag in ('"1"', "*", '"9", "3"'):
        answer = await api.admin.patch(path, json={"description": tag}, headers={"If-Match": tag})
        assert answer.status_code == httpx.codes.OK


async def test_null_is_refused_where_it_means_nothing(api: Api) -> None:
    center = await api.center()
    answer = await api.admin.patch(f"{CENTERS}/{center}", json={"name": None, "networks": None})
    assert sorted(pointers(answer)) == ["/name", "/networks"]
    domain = await api.domain(center, max_concurrent_imports=3)
    path = f"/v1/storage-domains/{domain['id']}"
    answer = await api.admin.patch(path, json={"max_concurrent_imports": None})
    assert answer.json()["max_concurrent_imports"] is None


async def test_pages_are_newest_first_and_stay_as_they_are(api: Api) -> None:
    made = [await api.center(f"center {number}") for number in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query: dict[str, Any] = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.viewer.get(CENTERS, params=query)).json()
        seen += [item["id"] for item in page["items"]]
        if len(seen) == 2:
            await api.center("later")
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_a_page_that_holds_all_is_the_last(api: Api) -> None:
    assert (await api.viewer.get(CENTERS)).json() == {"items": [], "next_cursor": None}
    for name in ("a", "b"):
        await api.center(name)
    assert (await api.viewer.get(CENTERS, params={"limit": 2})).json()["next_cursor"] is None


async def test_lists_are_filtered_by_name_and_data_center(api: Api) -> None:
    north, south = await api.center("north"), await api.center("south")
    found = (await api.viewer.get(CENTERS, params={"name": "south"})).json()["items"]
    assert [center["id"] for center in found] == [south]
    for center in (north, south):
        await api.domain(center)
        await api.host(center)
    for path in ("/v1/storage-domains", "/v1/proxy-hosts"):
        found = (await api.viewer.get(path, params={"data_center_id": south})).json()["items"]
        assert [item["data_center_id"] for item in found] == [south]
        assert (await api.viewer.get(path, params={"name": "none"})).json()["items"] == []


async def test_names_are_unique_where_they_belong(api: Api) -> None:
    north, south = await api.center("north"), await api.center("south")
    answer = await api.admin.post(CENTERS, json={"name": " north "})
    assert (problem_of(answer), pointers(answer)) == ((409, "name_in_use"), ["/name"])
    await api.domain(north)
    await api.domain(south)
    other = await api.domain(north, "store-2")
    answer = await api.admin.patch(f"/v1/storage-domains/{other['id']}", json={"name": "store-1"})
    assert (problem_of(answer), pointers(answer)) == ((409, "name_in_use"), ["/name"])


async def test_what_a_body_refers_to_must_be_there(api: Api) -> None:
    unknown = str(UUID(int=1))
    north, south = await api.center("north"), await api.center("south")
    host = await api.host(south)
    for path, body, pointer in (
        ("/v1/proxy-hosts", {"data_center_id": unknown, "address": "a"}, "/data_center_id"),
        (
            "/v1/storage-domains",
            {"data_center_id": unknown, "kind": "null", "settings": {}},
            "/data_center_id",
        ),
        (
            "/v1/storage-domains",
            {
                "data_center_id": north,
                "kind": "directory",
                "settings": {"path": "/srv", "proxy_host_id": host["id"]},
            },
            "/settings/proxy_host_id",
        ),
    ):
        answer = await api.admin.post(path, json={"name": "x", **body})
        assert (problem_of(answer), pointers(answer)) == ((422, "unknown_reference"), [pointer])


async def refused(api: Api, path: str, *users: str) -> None:
    """It isn't deleted, and its users are named."""
    answer = await api.admin.delete(path)
    assert problem_of(answer) == (409, "in_use")
    assert [user for user in users if user not in answer.json()["detail"]] == []


async def test_what_is_in_use_stays_and_its_users_are_named(api: Api) -> None:
    center = await api.center()
    host = await api.host(center)
    domain = await api.domain(center, settings={"path": "/srv", "proxy_host_id": host["id"]})
    await refused(api, f"{CENTERS}/{center}", "storage domain 'store-1'", "proxy host 'proxy-1'")
    await refused(api, f"/v1/proxy-hosts/{host['id']}", "storage domain 'store-1'")
    assert (await api.admin.delete(f"/v1/storage-domains/{domain['id']}")).status_code == 204
    assert (await api.admin.delete(f"/v1/proxy-hosts/{host['id']}")).status_code == 204
    assert (await api.admin.delete(f"{CENTERS}/{center}")).status_code == 204


async def test_live_imports_and_vms_use_what_they_name(api: Api) -> None:
    center = await api.center()
    host, domain = await api.host(center), await api.domain(center)
    body = {
        "source": {"kind": "disk", "path": "/a"},
        "storage_domain_id": domain["id"],
        "proxy_host_id": host["id"],
    }
    made = (await api.operator.post("/v1/imports", json=body)).json()
    paths = [f"/v1/storage-domains/{domain['id']}", f"/v1/proxy-hosts/{host['id']}"]
    for path in paths:
        await refused(api, path, f"import {made['id']}")
    assert problem_of(await api.admin.patch(paths[1], json={"port": 10})) == (409, "in_use")
    assert problem_of(await api.admin.patch(paths[0], json={"settings": {"path": "/b"}})) == (409, "in_use")
    assert (await api.admin.patch(paths[0], json={"name": "store-2"})).status_code == httpx.codes.OK
    await api.operator.post(f"/v1/imports/{made['id']}/cancel")
    for path in paths:
        assert (await api.admin.delete(path)).status_code == httpx.codes.NO_CONTENT


async def test_an_import_to_any_domain_uses_its_data_center(api: Api) -> None:
    center = await api.center()
    body = {"source": {"kind": "disk", "path": "/a"}, "data_center_id": center}
    made = (await api.operator.post("/v1/imports", json=body)).json()
    await refused(api, f"{CENTERS}/{center}", f"import {made['id']}")


async def test_a_vm_uses_its_domain_and_its_host_but_lets_the_host_move(api: Api) -> None:
    center = await api.center()
    host, domain = await api.host(center), await api.domain(center)
    async with api.database.session() as session:
        row = await session.get_one(StorageDomain, UUID(domain["id"]))
        vm = await add_vm(session, row, proxy_host_id=UUID(host["id"]))
    named = f"VM 'web' ({vm.id})"
    await refused(api, f"/v1/storage-domains/{domain['id']}", named)
    await refused(api, f"/v1/proxy-hosts/{host['id']}", named)
    moved = await api.admin.patch(f"/v1/proxy-hosts/{host['id']}", json={"port": 7})
    assert moved.json()["port"] == 7


async def test_history_pins_nothing(api: Api) -> None:
    row = await api.domain_row(await api.center())
    async with api.database.session() as session:
        await add_import(session, row, state="succeeded")
    assert (await api.admin.delete(f"/v1/storage-domains/{row.id}")).status_code == httpx.codes.NO_CONTENT


ADMINS_ALONE: tuple[tuple[str, dict[str, str]], ...] = (
    ("/v1/data-centers", {"name": "x"}),
    ("/v1/storage-domains", {}),
    ("/v1/proxy-hosts", {}),
)


async def test_viewers_read_operators_import_and_admins_configure(api: Api) -> None:
    for path, body in ADMINS_ALONE:
        assert (await api.viewer.get(path)).status_code == httpx.codes.OK
        assert problem_of(await api.operator.post(path, json=body)) == (403, "forbidden")
    host = await api.host(await api.center())
    path = f"/v1/proxy-hosts/{host['id']}"
    assert problem_of(await api.viewer.post(f"{path}/check")) == (403, "forbidden")
    assert (await api.operator.post(f"{path}/check")).status_code == httpx.codes.OK
    for method in ("PATCH", "DELETE"):
        assert problem_of(await api.operator.request(method, path, json={})) == (403, "forbidden")
    assert problem_of(await api.operator.get("/v1/tokens")) == (403, "forbidden")


async def test_a_stranger_is_refused_before_anything_else(api: Api) -> None:
    for header in ("", "Bearer", "Bearer x", "Basic admin", "admin", "Bearer \xfc"):
        headers = {b"Authorization": header.encode("latin-1")}
        answer = await api.nobody.get(f"{CENTERS}/{UUID(int=1)}", headers=headers)
        assert problem_of(answer) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
