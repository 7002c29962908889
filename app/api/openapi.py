"""The OpenAPI document (3.1.0): the product that front-end teams generate their clients from."""

import asyncio
import json
from typing import Any, Final

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from app.api import problems, schema_names
from app.api.answer_schemas import require_all_members
from app.api.event_schemas import describe_streams
from app.api.operations import HEADERS, complete
from app.errors import Problem

PATH: Final = "/openapi.json"
DESCRIPTION: Final = """\
Imports virtual machines with virt-v2v. Create a data center, a proxy host and a storage domain; create an
import; follow its event stream. Errors are problem documents (RFC 9457) with a stable `code`. Lists are paged
by `cursor`. Every POST takes an `Idempotency-Key`; single resources carry an `ETag` for `If-Match`.
"""
TAGS: Final = (
    ("data centers", "Where proxy hosts and storage domains belong, and where VM names are unique."),
    ("storage domains", "Where imported VMs go."),
    ("proxy hosts", "Hosts with virt-v2v that the service drives over SSH."),
    ("providers", "External systems that hold VMs: VMware, and KVM and Xen through libvirt."),
    ("scans", "Looks into a source: which VMs are in it, and how each is imported."),
    ("imports", "VMs on their way in."),
    ("uploads", "Files that clients bring to a proxy host (tus 1.0), to be imported there."),
    ("events", "Server-sent events of imports, with progress per disk."),
    ("vms", "Imported VMs and their disks."),
    ("orphans", "What was left behind on proxy hosts and storage domains."),
    ("tokens", "API tokens and their roles."),
    ("kinds", "What can be chosen, and the lists of codes."),
    ("health", "For supervisors, load balancers and Prometheus."),
)


def install(app: FastAPI) -> None:
    """Serve the document. It takes half a second to make, so that is done once, and beside the event loop."""
    lock = asyncio.Lock()
    made: list[str] = []

    @app.get(PATH, include_in_schema=False)
    async def served() -> Response:
        async with lock:
            if not made:
                made.append(await asyncio.to_thread(lambda: json.dumps(document(app), ensure_ascii=False)))
        return Response(made[0], media_type="application/json")


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
        separate_input_output_schemas=True,
    )
    _add_components(made["components"])
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            complete(path, method, operation)
    made["components"]["examples"] = problems.examples(_codes(made["paths"]))
    describe_streams(made)
    schema_names.rename(made)
    require_all_members(made)
    return made


def _add_components(components: dict[str, Any]) -> None:
    schemas = components["schemas"]
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {}) | {"Problem": problem}
    components["headers"] = HEADERS


def _codes(paths: dict[str, Any]) -> set[str]:
    """The codes of all problems that operations tell of."""
    return {
        code
        for operations in paths.values()
        for operation in operations.values()
        for response in operation["responses"].values()
        for code in response.get("content", {}).get(problems.MEDIA_TYPE, {}).get("examples", ())
    }


def text(app: FastAPI) -> str:
    """The document as docs/openapi.json holds it."""
    return json.dumps(document(app), indent=2, ensure_ascii=False) + "\n"
