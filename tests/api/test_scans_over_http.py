"""Scans over HTTP: asked for, listed, deleted; wrong requests are refused with their place."""

from uuid import UUID, uuid4

import pytest
from httpx import codes

from app.models.scans import ScanState
from app.services import scans
from tests.support.api import Api, pointers, problem_of
from tests.support.rows import data_center, proxy_host

SCANS = "/v1/scans"


async def host(api: Api) -> str:
    async with api.database.session() as session:
        center = await data_center(session)
        return str((await proxy_host(session, center.id)).id)


def body(host_id: str, **source: object) -> dict[str, object]:
    return {"proxy_host_id": host_id, "source": source or {"kind": "folder", "path": "/srv"}}


async def test_a_scan_is_queued_listed_and_deleted(api: Api) -> None:
    host_id = await host(api)
    answer = await api.operator.post(SCANS, json=body(host_id))
    assert answer.status_code == codes.ACCEPTED, answer.text
    shown = answer.json()
    path = answer.headers["location"]
    assert path == f"{SCANS}/{shown['id']}"
    assert (shown["state"], shown["items"], shown["source"]) == (
        "queued",
        [],
        {"kind": "folder", "path": "/srv"},
    )
    assert (await api.viewer.get(path)).json() == shown
    (listed,) = (await api.viewer.get(SCANS, params={"state": "queued"})).json()["items"]
    assert "items" not in listed
    assert (await api.viewer.get(SCANS, params={"proxy_host_id": str(uuid4())})).json()["items"] == []
    assert problem_of(await api.operator.delete(path, headers={"If-Match": '"7"'})) == (
        412,
        "precondition_failed",
    )
    assert (await api.operator.delete(path)).status_code == codes.NO_CONTENT
    assert problem_of(await api.viewer.get(path)) == (404, "not_found")


async def test_one_that_is_being_stopped_is_shown_no_more(api: Api) -> None:
    path = (await api.operator.post(SCANS, json=body(await host(api)))).headers["location"]
    async with api.database.session() as session:
        (row,) = await scans.take(session, uuid4(), 1)
    assert (await api.operator.delete(path)).status_code == codes.NO_CONTENT
    assert problem_of(await api.viewer.get(path)) == (404, "not_found")
    assert (await api.viewer.get(SCANS)).json()["items"] == []
    async with api.database.session() as session:
        await scans.end(session, row.id, row.turn)


async def test_what_was_found_is_shown_and_what_can_t_be_read_of_it_left_out(api: Api) -> None:
    path = (await api.operator.post(SCANS, json=body(await host(api)))).headers["location"]
    async with api.database.session() as session:
        row = await scans.get_locked(session, UUID(path.rsplit("/", 1)[1]))
        good = {"path": "/srv/a", "source": None, "vm": None, "problem": None, "guest_problem": None}
        row.state, row.found = ScanState.SUCCEEDED, ({"of": "a newer version"}, good)
    shown = (await api.viewer.get(path)).json()
    assert shown["items"] == [good]
    assert shown["item_count"] == 2


async def test_a_viewer_may_not_scan(api: Api) -> None:
    assert problem_of(await api.viewer.post(SCANS, json=body(str(uuid4())))) == (403, "forbidden")


@pytest.mark.parametrize(
    ("source", "pointer"),
    [
        ({"kind": "floppy"}, "/source"),
        ({"kind": "folder", "path": "srv"}, "/source/path"),
        ({"kind": "folder", "path": "/srv/../etc"}, "/source/path"),
    ],
)
async def test_a_wrong_source_is_refused_with_its_place(
    api: Api, source: dict[str, str], pointer: str
) -> None:
    answer = await api.operator.post(SCANS, json={"proxy_host_id": str(uuid4()), "source": source})
    assert pointers(answer) == [pointer]


async def test_a_path_needs_a_proxy_host_that_is_there_and_enabled(api: Api) -> None:
    nowhere = await api.operator.post(SCANS, json={"source": {"kind": "folder", "path": "/srv"}})
    assert problem_of(nowhere) == (422, "validation_error")
    unknown = await api.operator.post(SCANS, json=body(str(uuid4())))
    assert pointers(unknown) == ["/proxy_host_id"]
    host_id = await host(api)
    await api.admin.patch(f"/v1/proxy-hosts/{host_id}", json={"enabled": False})
    assert problem_of(await api.operator.post(SCANS, json=body(host_id))) == (422, "no_proxy_host")


async def test_a_host_that_is_being_scanned_stays(api: Api) -> None:
    host_id = await host(api)
    shown = (await api.operator.post(SCANS, json=body(host_id))).json()
    answer = await api.admin.delete(f"/v1/proxy-hosts/{host_id}")
    assert problem_of(answer) == (409, "in_use")
    assert shown["id"] in answer.json()["detail"]


async def test_uploads_are_scanned_where_they_are(api: Api) -> None:
    source = {"kind": "upload", "upload_ids": [str(uuid4())]}
    assert pointers(await api.operator.post(SCANS, json={"source": source})) == ["/source/upload_ids/0"]
