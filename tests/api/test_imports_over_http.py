"""Imports over HTTP: from the request to its end, with nobody who works on it."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.models.imports import VmImport
from app.models.state import ImportState
from app.models.storage_domains import StorageDomain
from tests.support.records import add_attempt, add_import, add_vm
from tests.support.rows import data_center, storage_domain
from tests.support.running_api import RunningApi


@pytest.fixture
async def domain(live_api: RunningApi) -> StorageDomain:
    async with live_api.database.session() as session:
        return await storage_domain(session, (await data_center(session)).id)


def body(domain: StorageDomain, **members: Any) -> dict[str, Any]:
    source = {"kind": "disk", "path": "/srv/images/web.img"}
    return {"source": source, "storage_domain_id": str(domain.id), **members}


async def made(live_api: RunningApi, domain: StorageDomain, **fields: Any) -> VmImport:
    async with live_api.database.session() as session:
        return await add_import(session, domain, **fields)


async def test_an_import_is_queued_and_told(live_api: RunningApi, domain: StorageDomain) -> None:
    listener = await live_api.listen("/v1/events")
    await listener.next()
    wanted = body(domain, vm={"name": "web"}, conversion={"luks_keys": ["s3cret"]}, labels={"team": "a"})
    answer = await live_api.admin.post("/v1/imports", json=wanted)
    shown = answer.json()
    assert answer.status_code == httpx.codes.ACCEPTED
    assert answer.headers["Location"] == f"/v1/imports/{shown['id']}"
    assert (shown["state"], shown["queue"]["position"], shown["created_by"]) == ("queued", 1, "admin")
    assert shown["spec"]["conversion"]["has_luks_keys"]
    assert "s3cret" not in answer.text
    assert (await listener.next()).data == shown
    assert (await live_api.admin.get(answer.headers["Location"])).json() == shown


async def test_the_same_key_makes_one_import(live_api: RunningApi, domain: StorageDomain) -> None:
    key = {"Idempotency-Key": "once"}
    answers = [await live_api.admin.post("/v1/imports", json=body(domain), headers=key) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len((await live_api.admin.get("/v1/imports")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("members", "code", "pointer"),
    [
        ({"storage_domain_id": str(uuid4())}, "unknown_reference", "/storage_domain_id"),
        ({"proxy_host_id": str(uuid4())}, "unknown_reference", "/proxy_host_id"),
        ({"vm": {"name": "../etc"}}, "invalid_name", "/vm/name"),
        ({"priority": 10}, "validation_error", "/priority"),
        ({"source": {"kind": "floppy"}}, "validation_error", "/source"),
        ({"source": {"kind": "disk", "path": "/x/../y"}}, "validation_error", "/source/path"),
        ({"source": {"kind": "disk"}}, "validation_error", "/source/path"),
        ({"nics": [{"target": "x"}]}, "validation_error", "/nics/0"),
        ({"surprise": 1}, "validation_error", "/surprise"),
    ],
)
async def test_a_request_that_can_not_be_is_refused(
    live_api: RunningApi, domain: StorageDomain, members: dict[str, Any], code: str, pointer: str
) -> None:
    answer = await live_api.admin.post("/v1/imports", json=body(domain, **members))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, code)
    assert problem["errors"][0]["pointer"] == pointer


async def test_a_name_is_given_once(live_api: RunningApi, domain: StorageDomain) -> None:
    wanted = body(domain, vm={"name": "web"})
    await live_api.admin.post("/v1/imports", json=wanted)
    answer = await live_api.admin.post("/v1/imports", json=wanted)
    assert (answer.status_code, answer.json()["code"]) == (409, "name_in_use")


async def test_imports_are_listed_in_pages_and_found(live_api: RunningApi, domain: StorageDomain) -> None:
    rows = [
        await made(live_api, domain, labels={"n": str(n), "team": "a"}, state=state)
        for n, state in enumerate((ImportState.QUEUED, ImportState.RUNNING, ImportState.FAILED))
    ]

    async def found(query: str) -> list[str]:
        answer = (await live_api.admin.get(f"/v1/imports?{query}")).json()
        return [item["id"] for item in answer["items"]]

    ids = [str(row.id) for row in rows]
    page = (await live_api.admin.get("/v1/imports?limit=2")).json()
    assert [item["id"] for item in page["items"]] == [ids[2], ids[1]]
    assert await found(f"limit=2&cursor={page['next_cursor']}") == [ids[0]]
    assert await found("state=queued&state=failed") == [ids[2], ids[0]]
    assert await found("label=team:a&label=n:1") == [ids[1]]
    assert await found(f"storage_domain_id={domain.id}") == [ids[2], ids[1], ids[0]]
    assert await found(f"storage_domain_id={uuid4()}") == []
    assert (await live_api.admin.get("/v1/imports?label=team")).status_code == 422


async def test_a_queued_import_is_changed_by_a_merge_patch(
    live_api: RunningApi, domain: StorageDomain
) -> None:
    row = await made(live_api, domain, labels={"team": "a", "old": "x"})
    path, change = f"/v1/imports/{row.id}", {"priority": 9, "labels": {"old": None, "new": "y"}}
    etag = (await live_api.admin.get(path)).headers["ETag"]
    answer = await live_api.admin.patch(path, json=change, headers={"If-Match": etag})
    shown = answer.json()
    assert (shown["priority"], shown["labels"]) == (9, {"team": "a", "new": "y"})
    assert (shown["spec"]["priority"], shown["spec"]["labels"]) == (9, shown["labels"])
    assert answer.headers["ETag"] == (await live_api.admin.get(path)).headers["ETag"] != etag
    stale = await live_api.admin.patch(path, json=change, headers={"If-Match": etag})
    assert stale.status_code == httpx.codes.PRECONDITION_FAILED


@pytest.mark.parametrize("change", [{"priority": None}, {"labels": None}, {"labels": {"bad key": "x"}}])
async def test_a_change_that_can_not_be_is_refused(
    live_api: RunningApi, domain: StorageDomain, change: dict[str, Any]
) -> None:
    row = await made(live_api, domain)
    assert (await live_api.admin.patch(f"/v1/imports/{row.id}", json=change)).status_code == 422


async def test_a_running_import_is_not_changed(live_api: RunningApi, domain: StorageDomain) -> None:
    row = await made(live_api, domain, state=ImportState.RUNNING)
    answer = await live_api.admin.patch(f"/v1/imports/{row.id}", json={"priority": 9})
    assert (answer.status_code, answer.json()["code"]) == (409, "import_not_queued")


async def test_an_import_is_cancelled_retried_and_deleted(
    live_api: RunningApi, domain: StorageDomain
) -> None:
    row = await made(live_api, domain)
    path = f"/v1/imports/{row.id}"
    for _ in range(2):
        answer = await live_api.admin.post(f"{path}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    answer = await live_api.admin.post(f"{path}/retry", json={"accept_concerns": ["no_nics"]})
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert answer.json()["spec"]["accept_concerns"] == ["no_nics"]
    assert (await live_api.admin.delete(path)).json()["code"] == "import_not_ended"
    await live_api.admin.post(f"{path}/cancel", json={"force": True})
    assert (await live_api.admin.delete(path)).status_code == httpx.codes.NO_CONTENT
    assert (await live_api.admin.get(path)).status_code == httpx.codes.NOT_FOUND


async def test_an_ended_import_is_not_cancelled_and_a_live_one_not_retried(
    live_api: RunningApi, domain: StorageDomain
) -> None:
    ended = await made(live_api, domain, state=ImportState.SUCCEEDED)
    live = await made(live_api, domain, state=ImportState.RUNNING)
    answers = [
        await live_api.admin.post(f"/v1/imports/{ended.id}/cancel"),
        await live_api.admin.post(f"/v1/imports/{live.id}/retry"),
    ]
    assert [answer.json()["code"] for answer in answers] == ["import_ended", "import_not_retryable"]


async def test_only_an_administrator_cancels_by_force(live_api: RunningApi, domain: StorageDomain) -> None:
    row = await made(live_api, domain, state=ImportState.CANCELLING)
    path, force = f"/v1/imports/{row.id}/cancel", {"force": True}
    async with live_api.client("operator") as operator:
        refused = await operator.post(path, json=force)
        plain = await operator.post(path, json={"force": False})
    forced = await live_api.admin.post(path, json=force)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (plain.status_code, plain.json()["state"]) == (202, "cancelling")
    assert (forced.status_code, forced.json()["state"]) == (202, "cancelled")


async def test_an_import_that_left_a_vm_behind_is_not_forgotten(
    live_api: RunningApi, domain: StorageDomain
) -> None:
    async with live_api.database.session() as session:
        row = await add_import(session, domain, state=ImportState.FAILED)
        await add_vm(session, domain, row=row, state="illegal")
    answer = await live_api.admin.delete(f"/v1/imports/{row.id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")


async def test_viewers_read_and_operators_import(live_api: RunningApi, domain: StorageDomain) -> None:
    async with live_api.client("viewer") as viewer, live_api.client("operator") as operator:
        assert (await viewer.get("/v1/imports")).status_code == httpx.codes.OK
        assert (await viewer.post("/v1/imports", json=body(domain))).status_code == httpx.codes.FORBIDDEN
        assert (await operator.post("/v1/imports", json=body(domain))).status_code == httpx.codes.ACCEPTED


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("GET", "/timeline"),
        ("GET", "/log"),
        ("GET", "/bundle"),
    ],
)
async def test_an_unknown_import_is_not_found(live_api: RunningApi, method: str, action: str) -> None:
    json = {} if method in {"PATCH", "POST"} else None
    answer = await live_api.admin.request(method, f"/v1/imports/{uuid4()}{action}", json=json)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_attempts_are_shown_with_their_import(live_api: RunningApi, domain: StorageDomain) -> None:
    async with live_api.database.session() as session:
        row = await add_import(session, domain, state=ImportState.RUNNING)
        await add_attempt(session, row)
    shown = (await live_api.admin.get(f"/v1/imports/{row.id}")).json()
    assert [attempt["number"] for attempt in shown["attempts"]] == [1]
