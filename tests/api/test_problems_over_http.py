"""Whatever is wrong with a request, the answer is a problem document that says so."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx

from tests.support.api import Api, pointers, problem_of

CENTERS = "/v1/data-centers"
UNKNOWN = str(uuid4())
JSON = {"Content-Type": "application/json"}

ASTRAY = {
    ("GET", "/v1/nothing"): (404, "not_found"),
    ("GET", f"{CENTERS}/"): (404, "not_found"),
    ("GET", f"{CENTERS}/{UNKNOWN}"): (404, "not_found"),
    ("GET", f"{CENTERS}/x"): (404, "not_found"),
    ("PUT", CENTERS): (405, "method_not_allowed"),
    ("GET", f"{CENTERS}?cursor=x"): (400, "invalid_cursor"),
    ("GET", f"{CENTERS}?cursor={'A' * 5000}"): (400, "invalid_cursor"),
    ("GET", f"{CENTERS}?cursor=%ff%00"): (400, "invalid_cursor"),
    ("GET", f"{CENTERS}?limit=0"): (422, "validation_error"),
    ("GET", f"{CENTERS}?limit=1001"): (422, "validation_error"),
    ("GET", f"{CENTERS}?limit={'9' * 5000}"): (422, "validation_error"),
    ("GET", f"{CENTERS}?name=%00"): (422, "validation_error"),
    ("GET", "/v1/vms?name=%00"): (422, "validation_error"),
    ("GET", "/v1/imports?label=a%00:b"): (422, "validation_error"),
    ("GET", "/v1/imports?state=x"): (422, "validation_error"),
}


async def test_a_request_that_leads_nowhere_is_a_problem(api: Api) -> None:
    found = {(method, path): problem_of(await api.admin.request(method, path)) for method, path in ASTRAY}
    assert found == ASTRAY


async def test_a_method_that_is_not_there_names_those_that_are(api: Api) -> None:
    answer = await api.admin.put(CENTERS, json={})
    assert answer.headers["Allow"] == "GET, POST"
    assert (await api.admin.head(CENTERS)).status_code == httpx.codes.METHOD_NOT_ALLOWED


MALFORMED = (
    b"{",
    b'{"name": }',
    b"\xff\xfe",
    b'{"name": "\xff"}',
    b"[" * 100_000,
    b'{"name": ' + b"9" * 5000 + b"}",
)


async def test_what_is_no_json_is_malformed(api: Api) -> None:
    for body in MALFORMED:
        answer = await api.admin.post(CENTERS, content=body, headers=JSON)
        assert problem_of(answer) == (400, "invalid_request"), body[:40]


MISFITS = (
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b'{"name": "\\ud800"}',
    b'{"name": "a\\u0000"}',
    b'{"name": "   "}',
    b'{"name": 12345678901234567890123456789}',
    b'{"name": NaN}',
    b'{"name": "a", "\\ud800": 1}',
    b'{"name": "a", "networks": [{"name": "n", "\\ud800/~": 1}]}',
    b'{"name": ' + b"[" * 400 + b"]" * 400 + b"}",
)


async def test_what_does_not_fit_the_schema_is_refused(api: Api) -> None:
    for body in MISFITS:
        answer = await api.admin.post(CENTERS, content=body, headers=JSON)
        assert problem_of(answer) == (422, "validation_error"), body[:40]


async def test_a_body_of_another_type_is_refused(api: Api) -> None:
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data"}, {}):
        answer = await api.admin.post(CENTERS, content=b'{"name": "a"}', headers=headers)
        assert problem_of(answer) == (415, "unsupported_media_type")


async def test_a_body_that_is_too_long_is_refused_before_it_is_read(api: Api) -> None:
    too_long = api.state.settings.body_limit_bytes + 1
    for content in (b" " * too_long, _chunks(too_long)):
        answer = await api.admin.post(CENTERS, content=content, headers=JSON)
        assert problem_of(answer) == (413, "too_large")


async def _chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 65536):
        yield b" " * 65536


async def test_a_content_length_that_is_no_number_is_malformed(api: Api) -> None:
    for length in ("²", "-1", "9" * 5000):
        headers = [(b"content-length", length.encode("latin-1")), (b"content-type", b"application/json")]
        request = httpx.Request("POST", f"http://api.test{CENTERS}", headers=headers)
        assert problem_of(await api.admin.send(request)) == (400, "invalid_request")


OVA = {"kind": "ova", "path": "/a.ova"}
FAULTY: tuple[tuple[dict[str, Any], str], ...] = (
    ({"source": {"kind": "ova"}}, "/source/path"),
    ({"source": {"kind": "ova", "path": "relative"}}, "/source/path"),
    ({"source": {"kind": "ova", "path": "/a\0"}}, "/source/path"),
    ({"source": OVA | {"ova": 1}}, "/source/ova"),
    ({"source": OVA | {"ova": {}}}, "/source/ova"),
    ({"source": OVA | {"vm_id": "a\0"}}, "/source/vm_id"),
    ({"source": {"kind": "floppy", "path": "/a"}}, "/source"),
    ({"source": {}}, "/source"),
    ({}, "/source"),
    ({"source": OVA, "labels": {"a b": "x"}}, "/labels/a b"),
    ({"source": OVA, "labels": {"a/b": 1}}, "/labels/a~1b"),
    ({"source": OVA, "disks": [{"source_disk_id": "a", "format": "vmdk"}]}, "/disks/0/format"),
    ({"source": OVA, "disks": [{"source_disk_id": "a\0"}]}, "/disks/0/source_disk_id"),
    ({"source": OVA, "accept_concerns": ["ok", "a\0"]}, "/accept_concerns/1"),
    ({"source": OVA, "nics": [{"target": "n"}]}, "/nics/0"),
    ({"source": OVA, "priority": "5"}, "/priority"),
    ({"source": OVA, "priority": 10**30}, "/priority"),
    ({"source": OVA, "keep_on_failure": "yes"}, "/keep_on_failure"),
    ({"source": OVA, "start_after": 5}, "/start_after"),
    ({"source": OVA, "start_after": "5"}, "/start_after"),
    ({"source": OVA, "start_after": "2026-01-01T00:00:00"}, "/start_after"),
    ({"source": OVA, "start_after": "9999-12-31T23:59:59-01:00"}, "/start_after"),
)


async def test_a_fault_is_pointed_at_in_the_body_as_it_was_sent(api: Api) -> None:
    for body, pointer in FAULTY:
        answer = await api.admin.post("/v1/imports", json={"data_center_id": UNKNOWN} | body)
        assert (body, pointers(answer)) == (body, [pointer])


async def test_a_fault_of_the_whole_body_points_at_all_of_it(api: Api) -> None:
    assert pointers(await api.admin.post("/v1/imports", json={"source": OVA})) == [""]


async def test_a_fault_in_the_settings_of_a_kind_is_pointed_at(api: Api) -> None:
    body = {"data_center_id": UNKNOWN, "name": "s", "kind": "directory", "settings": {"path": "x", "a/b": 1}}
    answer = await api.admin.post("/v1/storage-domains", json=body)
    assert sorted(pointers(answer)) == ["/settings/a~1b", "/settings/path"]


async def test_a_malformed_header_is_400(api: Api) -> None:
    answers = [
        await api.admin.delete(f"{CENTERS}/{UNKNOWN}", headers={"If-Match": "1"}),
        await api.admin.post(CENTERS, json={"name": "a"}, headers={"Idempotency-Key": ""}),
        await api.admin.post(CENTERS, json={"name": "a"}, headers={"Idempotency-Key": "x" * 256}),
        await api.admin.post(CENTERS, json={"name": "a"}, headers={b"Idempotency-Key": "ü".encode()}),
    ]
    assert [problem_of(answer) for answer in answers] == [(400, "invalid_request")] * 4


async def test_faults_in_changed_settings_are_pointed_at(api: Api) -> None:
    path = f"/v1/storage-domains/{(await api.domain(await api.center()))['id']}"
    deep = b'{"settings": {"path": ' + b"[" * 400 + b"]" * 400 + b"}}"
    assert pointers(await api.admin.patch(path, content=deep, headers=JSON)) == ["/settings/path"]
    surrogate = b'{"settings": {"\\ud800": 1}}'
    assert pointers(await api.admin.patch(path, content=surrogate, headers=JSON)) == ["/settings"]
    named = await api.admin.patch(path, json={"settings": {"a/b~": 1}})
    assert pointers(named) == ["/settings/a~1b~0"]
