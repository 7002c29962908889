"""The OpenAPI document (3.1.0): the product that front-end teams generate their clients from."""

import json
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.event_schemas import describe_streams
from app.api.work import HEADER, LONGEST_KEY
from app.errors import Problem
from app.models.common import Json

DESCRIPTION: Final = """\
Imports virtual machines with virt-v2v. Create a data center, a proxy host and a storage domain; create an
import; follow its event stream. Errors are problem documents (RFC 9457) with a stable `code`. Lists are paged
by `cursor`. Every POST takes an `Idempotency-Key`; single resources carry an `ETag` for `If-Match`.
"""
TAGS: Final = (
    ("data centers", "Where proxy hosts and storage domains belong, and where VM names are unique."),
    ("storage domains", "Where imported VMs go."),
    ("proxy hosts", "Hosts with virt-v2v that the service drives over SSH."),
    ("imports", "VMs on their way in."),
    ("events", "Server-sent events of imports, with progress per disk."),
    ("vms", "Imported VMs and their disks."),
    ("tokens", "API tokens and their roles."),
    ("kinds", "What can be chosen, and the lists of codes."),
    ("health", "For supervisors, load balancers and Prometheus."),
)
IDEMPOTENCY_PARAMETER: Final[Json] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same key with the same body is answered as the first time; kept for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"},
}


def install(app: FastAPI) -> None:
    """Serve the document that `document` makes."""

    def served() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = served  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def document(app: FastAPI) -> dict[str, Any]:
    made: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/", "description": "This server"}],
        separate_input_output_schemas=False,
    )
    schemas = made["components"]["schemas"]
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for path in made["paths"].values():
        if "post" in path:
            path["post"].setdefault("parameters", []).append(IDEMPOTENCY_PARAMETER)
    describe_streams(made)
    return made


def text(app: FastAPI) -> str:
    """The document as docs/openapi.json holds it."""
    return json.dumps(document(app), indent=2, ensure_ascii=False) + "\n"
