"""What the OpenAPI document says of every operation alike: parameters, headers, problems and examples."""

from typing import Any, Final

from app.api import examples
from app.api.problems import DatabaseUnavailableError, add_problem
from app.api.schema_names import PREFIX, name_of
from app.api.work import HEADER, LONGEST_KEY
from app.errors import (
    AppError,
    IdempotencyKeyReusedError,
    TooLargeError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from app.models.common import Json

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
IDEMPOTENCY_PARAMETER: Final[Json] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same key with the same body is answered as the first time; kept for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"},
}
HEADERS: Final[Json] = {
    "ETag": {
        "description": "The resource's version, for `If-Match`.",
        "schema": {"type": "string"},
        "example": '"7"',
    },
    "Location": {"description": "Where the resource is.", "schema": {"type": "string"}},
    "Upload-Offset": {
        "description": "How many bytes of the file are there: where the next ones begin.",
        "schema": {"type": "string"},
        "example": "1048576",
    },
    "Upload-Length": {
        "description": "Bytes of the whole file.",
        "schema": {"type": "string"},
        "example": "4563402752",
    },
    "Upload-Metadata": {"description": "As the upload was made with.", "schema": {"type": "string"}},
    "Upload-Expires": {
        "description": "When the upload is removed, unless more comes for it (RFC 9110).",
        "schema": {"type": "string"},
        "example": "Sat, 03 Jan 2026 03:04:05 GMT",
    },
    "Tus-Version": {"description": "The versions of tus that are spoken.", "schema": {"type": "string"}},
    "Tus-Extension": {"description": "Its extensions that are offered.", "schema": {"type": "string"}},
    "Tus-Max-Size": {"description": "The most bytes of an upload.", "schema": {"type": "string"}},
    "Tus-Checksum-Algorithm": {
        "description": "The algorithms of `Upload-Checksum`.",
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}, "example": "5"},
}
VERSIONED: Final = frozenset(
    {
        "DataCenter",
        "StorageDomain",
        "ProxyHost",
        "Provider",
        "Token",
        "TokenCreated",
        "Import",
        "Upload",
        "Scan",
        "Vm",
        "Disk",
    }
)
"""The schemas of resources with an ETag."""
ANSWERS: Final = {
    name_of(type(example).__name__): example.model_dump(mode="json") for example in examples.ANSWERS
}
MADE: Final = frozenset({"201", "202"})


def complete(path: str, method: str, operation: Json) -> None:
    """Add what the routes need not say, since it holds for all of their kind."""
    if method == "post":
        operation.setdefault("parameters", []).append(dict(IDEMPOTENCY_PARAMETER))
    if path.startswith("/v1"):
        for kind in _problems(method, has_body="requestBody" in operation):
            add_problem(operation["responses"], kind)
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _without_null(parameter["schema"])
        if parameter["in"] != "query" and parameter["name"] in examples.PARAMETERS:
            parameter["example"] = examples.PARAMETERS[parameter["name"]]
    operation.setdefault("security", [])
    _complete_body(method, operation)
    for status, response in operation["responses"].items():
        _complete_response(status, response, operation["operationId"])
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _without_null(schema: Json) -> Json:
    """A parameter that isn't given is left out: none of them can be null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    return {**kinds[0], **{k: v for k, v in schema.items() if k != "anyOf"}} if len(kinds) == 1 else schema


def _problems(method: str, *, has_body: bool) -> list[type[AppError]]:
    found: list[type[AppError]] = [DatabaseUnavailableError]
    if method == "post":
        found += [IdempotencyKeyReusedError, UnavailableError]
    if has_body:
        found += [TooLargeError, UnsupportedMediaTypeError]
    return found


def _complete_body(method: str, operation: Json) -> None:
    content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    if JSON not in content:
        return
    if operation["operationId"] in examples.BODIES:
        content[JSON]["examples"] = examples.BODIES[operation["operationId"]]
    if method == "patch":
        content[MERGE_PATCH] = content[JSON]


def _complete_response(status: str, response: Json, operation_id: str) -> None:
    content = response.get("content", {})
    schema = name_of(content.get(JSON, {}).get("schema", {}).get("$ref", "").removeprefix(PREFIX))
    if schema in ANSWERS:
        content[JSON]["example"] = ANSWERS[schema]
    for media_type in content:
        if media_type != JSON and operation_id in examples.TEXTS and status.startswith("2"):
            content[media_type]["example"] = examples.TEXTS[operation_id]
    names = [
        *(["ETag"] if schema in VERSIONED else []),
        *(["Location"] if status in MADE and schema in VERSIONED else []),
        *(["Retry-After"] if status == "503" else []),
    ]
    if names:
        told = response.setdefault("headers", {})
        told |= {name: {"$ref": f"#/components/headers/{name}"} for name in names}
