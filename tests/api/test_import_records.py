"""An import's timeline, log and bundle over HTTP."""

import io
import json
from zipfile import ZipFile

import httpx
import pytest

from app.models.attempts import Attempt
from app.models.imports import VmImport
from app.services import attempts, log_chunks, timeline
from tests.support.records import add_attempt, add_import, add_vm
from tests.support.rows import data_center, proxy_host, storage_domain
from tests.support.running_api import RunningApi

TEXT = b"".join(b"line %06d of what virt-v2v said\n" % number for number in range(20_000))


@pytest.fixture
async def row(live_api: RunningApi) -> VmImport:
    """An import with one attempt, whose log is there."""
    async with live_api.database.session() as session:
        domain = await storage_domain(session, (await data_center(session)).id)
        host = await proxy_host(session, domain.data_center_id)
        made = await add_import(session, domain, proxy_host_id=host.id)
        vm = await add_vm(session, domain, row=made)
        vm.metadata_type, vm.metadata_text = "application/xml; kind=ovf", "<Envelope/>"
        attempt: Attempt = await add_attempt(session, made, proxy_host_id=host.id)
        await log_chunks.append(session, attempt.id, 0, TEXT)
    return made


async def grow(live_api: RunningApi, row: VmImport, data: bytes) -> None:
    async with live_api.database.session() as session:
        attempt = await attempts.current(session, row)
        assert attempt is not None
        await log_chunks.append(session, attempt.id, len(TEXT), data)


async def test_the_log_is_text(live_api: RunningApi, row: VmImport) -> None:
    answer = await live_api.admin.get(f"/v1/imports/{row.id}/log?attempt=1")
    assert (answer.status_code, answer.content) == (200, TEXT)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=65000-66000", slice(65_000, 66_001)),
        ("bytes=-100", slice(-100, None)),
        ("bytes=600000-", slice(600_000, None)),
    ],
)
async def test_a_part_of_the_log_is_sent(
    live_api: RunningApi, row: VmImport, asked: str, wanted: slice
) -> None:
    answer = await live_api.admin.get(f"/v1/imports/{row.id}/log", headers={"Range": asked})
    start, end, _ = wanted.indices(len(TEXT))
    assert (answer.status_code, answer.content) == (206, TEXT[wanted])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(TEXT)}"


async def test_a_growing_log_is_followed_by_ranges(live_api: RunningApi, row: VmImport) -> None:
    path, headers = f"/v1/imports/{row.id}/log", {"Range": f"bytes={len(TEXT)}-"}
    nothing_yet = await live_api.admin.get(path, headers=headers)
    assert (nothing_yet.status_code, nothing_yet.json()["code"]) == (416, "range_not_satisfiable")
    assert nothing_yet.headers["content-range"] == f"bytes */{len(TEXT)}"
    await grow(live_api, row, b"more\n")
    assert (await live_api.admin.get(path, headers=headers)).content == b"more\n"


async def test_a_range_with_a_condition_gets_the_whole(live_api: RunningApi, row: VmImport) -> None:
    headers = {"Range": "bytes=0-1", "If-Range": '"x"'}
    assert (await live_api.admin.get(f"/v1/imports/{row.id}/log", headers=headers)).status_code == 200


async def test_an_unknown_attempt_has_no_log_and_a_queued_import_an_empty_one(
    live_api: RunningApi, row: VmImport
) -> None:
    answer = await live_api.admin.get(f"/v1/imports/{row.id}/log?attempt=2")
    assert answer.status_code == httpx.codes.NOT_FOUND
    body = {"source": {"kind": "disk", "path": "/srv/x"}, "storage_domain_id": str(row.storage_domain_id)}
    queued = (await live_api.admin.post("/v1/imports", json=body)).json()
    answer = await live_api.admin.get(f"/v1/imports/{queued['id']}/log")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_the_timeline_is_told_oldest_first_in_pages(live_api: RunningApi, row: VmImport) -> None:
    async with live_api.database.session() as session:
        for kind in ("admitted", "config_read"):
            timeline.note(session, row, kind, detail="x")
            await session.flush()
    path = f"/v1/imports/{row.id}/timeline"
    first = (await live_api.admin.get(f"{path}?limit=2")).json()
    second = (await live_api.admin.get(f"{path}?limit=2&cursor={first['next_cursor']}")).json()
    assert [item["kind"] for item in first["items"] + second["items"]] == [
        "created",
        "admitted",
        "config_read",
    ]
    assert second["next_cursor"] is None


async def test_the_bundle_holds_all_an_expert_needs(live_api: RunningApi, row: VmImport) -> None:
    answer = await live_api.admin.get(f"/v1/imports/{row.id}/bundle")
    assert answer.headers["content-type"] == "application/zip"
    with ZipFile(io.BytesIO(answer.content)) as archive:
        assert set(archive.namelist()) == {
            "import.json",
            "spec.json",
            "timeline.json",
            "versions.json",
            "proxy-host.json",
            "storage-domain.json",
            "vm-metadata.xml",
            "attempt-1.log",
        }
        assert archive.read("attempt-1.log") == TEXT
        assert json.loads(archive.read("import.json"))["id"] == str(row.id)
        assert json.loads(archive.read("proxy-host.json"))["status"]["state"] == "up"
        assert "username" not in json.loads(archive.read("proxy-host.json"))
