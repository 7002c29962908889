"""`v2v-import storage-domains …`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli import units
from app.cli.client import Service
from app.cli.commands import service_command
from app.cli.exits import ExitCode
from app.cli.output import Json, Output
from app.cli.places import DOMAINS, data_center_id, proxy_host_id, storage_domain_id
from app.cli.text import safe
from app.cli.values import read_document

app = typer.Typer(help="Add, list and check storage domains.", no_args_is_help=True)


class DomainKind(StrEnum):
    DIRECTORY = "directory"
    OVIRT_DATA = "ovirt-data"
    NULL = "null"


@service_command(app, "add")
def add_storage_domain(
    service: Service,
    output: Output,
    name: Annotated[str | None, typer.Argument(help="Needed unless --from has one.")] = None,
    kind: Annotated[DomainKind | None, typer.Option(help="`null` is a rehearsal: it keeps nothing.")] = None,
    path: Annotated[str | None, typer.Option(help="Where it is, as the proxy hosts see it.")] = None,
    proxy_host: Annotated[
        str | None, typer.Option(help="The only proxy host that holds it, by name or id.")
    ] = None,
    data_center: Annotated[str | None, typer.Option(help="By name or id; else the only one.")] = None,
    max_concurrent_imports: Annotated[int | None, typer.Option(min=1)] = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="The whole request as JSON; - is stdin.")
    ] = None,
) -> None:
    """Add a storage domain and check it."""
    body: Json = read_document(source) if source is not None else {}
    body |= {"name": name} if name is not None else {}
    body |= {"kind": kind.replace("-", "_")} if kind is not None else {}
    if not {"name", "kind"} <= body.keys():
        raise typer.BadParameter("give NAME and --kind, or --from FILE")
    if data_center is not None or "data_center_id" not in body:
        body["data_center_id"] = data_center_id(service, data_center)
    if max_concurrent_imports is not None:
        body["max_concurrent_imports"] = max_concurrent_imports
    own: Json = {"path": path} if path is not None else {}
    if proxy_host is not None:
        own["proxy_host_id"] = proxy_host_id(service, proxy_host, body["data_center_id"])
    body["settings"] = {**body.get("settings", {}), **own}
    _checked(service, output, service.post(DOMAINS, body)["id"])


@service_command(app, "check")
def check_storage_domain(
    service: Service, output: Output, domain: Annotated[str, typer.Argument(help="By name or id.")]
) -> None:
    """Look now whether the proxy hosts can use it."""
    _checked(service, output, storage_domain_id(service, domain, None))


def _checked(service: Service, output: Output, identity: str) -> None:
    domain = service.post(f"{DOMAINS}/{identity}/check")
    if output.as_json:
        output.document(domain)
    else:
        _show(output, domain)
    if domain["status"]["state"] == "unusable":
        raise typer.Exit(ExitCode.FAILED)


def _show(output: Output, domain: Json) -> None:
    status = domain["status"]
    output.facts(
        [
            ("id", domain["id"]),
            ("name", domain["name"]),
            ("kind", domain["kind"]),
            ("path", domain["settings"].get("path")),
            ("state", status["state"]),
            ("free", units.size(status["free_bytes"])),
        ]
    )
    for host in status["proxy_hosts"]:
        problem = host["problem"] or {}
        found = "usable" if host["usable"] else safe(problem.get("detail") or "not usable")
        output.line(f"  on {host['proxy_host_id']}: {found}")
    if status["problem"]:
        output.problem(status["problem"])


@service_command(app, "list")
def list_storage_domains(service: Service, output: Output) -> None:
    """List storage domains."""
    found = service.items(DOMAINS)
    if output.as_json:
        output.document({"items": found, "next_cursor": None})
        return
    rows = [
        (
            domain["id"],
            domain["name"],
            domain["kind"],
            domain["status"]["state"],
            units.size(domain["status"]["free_bytes"]),
            domain["settings"].get("path") or "",
        )
        for domain in found
    ]
    output.table(("ID", "NAME", "KIND", "STATE", "FREE", "PATH"), rows, none="There are no storage domains.")
