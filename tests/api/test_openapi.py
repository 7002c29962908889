"""The OpenAPI document: what front-end teams generate their clients from."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.support.api import Api

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
OPERATIONS = [
    pytest.param(path, method, operation, id=operation["operationId"])
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]


async def test_the_server_serves_the_document_that_is_kept(api: Api) -> None:
    assert (await api.nobody.get("/openapi.json")).json() == DOCUMENT


def test_it_is_a_valid_openapi_3_1_0_document() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    validate(DOCUMENT)


def test_operation_ids_are_short_and_unique() -> None:
    names = [parameters.id or "" for parameters in OPERATIONS]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name)] == []


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_is_described(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    [tag] = operation["tags"]
    assert tag in {known["name"] for known in DOCUMENT["tags"]}
    is_open = not path.startswith("/v1")
    assert operation["security"] == [] if is_open else {"token": []} in operation["security"]


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_has_examples(path: str, method: str, operation: dict[str, Any]) -> None:
    contents = [*_contents(operation["responses"]), *_contents({"body": operation.get("requestBody", {})})]
    assert [part for part in contents if not part.keys() & {"example", "examples"}] == []
    in_path = [parameter for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
    assert [parameter["name"] for parameter in in_path if "example" not in parameter] == []


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_lists_its_problems(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    wanted = {"400", "401", "403", "422", "503"} if path.startswith("/v1") else set()
    if "requestBody" in operation:
        wanted |= {"413", "415"}
    if method == "post":
        wanted |= {"409"}
    if "{" in path:
        wanted |= {"404"}
    assert wanted <= responses.keys()
    failures = {status: told for status, told in responses.items() if status >= "400" and path != "/readyz"}
    for told in failures.values():
        assert list(told["content"]) == ["application/problem+json"]


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_tells_its_headers(path: str, method: str, operation: dict[str, Any]) -> None:
    sent = {parameter["name"] for parameter in operation.get("parameters", [])}
    assert ("Idempotency-Key" in sent) == (method == "post")
    is_upload = operation["tags"] == ["uploads"]
    assert ("If-Match" in sent) == (method in ({"delete"} if is_upload else {"patch", "delete"}))
    headers = {status: set(told.get("headers", ())) for status, told in operation["responses"].items()}
    if method == "patch":
        told = {"Upload-Offset", "Upload-Expires"} if is_upload else {"ETag"}
        assert headers["204" if is_upload else "200"] == told
    if method == "post" and headers.keys() & {"201", "202"} and operation["tags"] != ["events"]:
        assert (headers.get("201") or headers["202"]) >= {"ETag", "Location"}


def test_schemas_are_named_in_the_words_of_the_api() -> None:
    assert [name for name in SCHEMAS if not re.fullmatch(r"[A-Z][A-Za-z0-9]+", name)] == []
    assert [name for name in SCHEMAS if re.search(r"Public|Output|Input|VmImport|Api", name)] == []
    assert {"Import", "ImportPage", "Vm", "Disk", "ProxyHost", "StorageDomain", "Token"} <= SCHEMAS.keys()


@pytest.mark.parametrize("name", ["Import", "ProxyHost", "HostStatus", "Progress", "Problem", "Vm"])
def test_all_members_of_an_answer_are_always_there(name: str) -> None:
    assert SCHEMAS[name]["required"] == list(SCHEMAS[name]["properties"])


def test_secrets_are_sent_and_never_answered() -> None:
    assert {"private_key", "password"} <= SCHEMAS["ProxyHostCreate"]["properties"].keys()
    assert {"private_key", "password", "sealed_secrets"}.isdisjoint(SCHEMAS["ProxyHost"]["properties"])
    assert "luks_keys" in SCHEMAS["ConversionProperties"]["properties"]
    assert "luks_keys" not in SCHEMAS["ConversionSpec"]["properties"]


def test_events_refer_to_the_schemas_of_what_they_carry() -> None:
    content = DOCUMENT["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    events = {event: shape["$ref"].split("/")[-1] for event, shape in content["x-sse-event"].items()}
    assert events["import"] == "Import"
    assert events["progress"] == "ProgressEvent"
    assert set(events.values()) <= SCHEMAS.keys()


def _contents(parts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part in parts.values():
        yield from part.get("content", {}).values()
