"""`v2v-import imports …` and `watch`: looks at imports, cancels and retries them."""

from typing import Annotated

import typer

from app.cli import units
from app.cli.client import Service
from app.cli.commands import service_command
from app.cli.import_log import print_log
from app.cli.output import Json, Output, problem_lines
from app.cli.places import proxy_host_id, storage_domain_id
from app.cli.views import heading
from app.cli.watching import watch

app = typer.Typer(help="Look at imports, cancel and retry them.", no_args_is_help=True)
top = typer.Typer()

ImportId = Annotated[str, typer.Argument(help="The import's id.", metavar="ID")]
IMPORTS = "/v1/imports"


@service_command(top, "watch")
def watch_import(service: Service, output: Output, import_id: ImportId) -> None:
    """Watch an import until it has ended: a bar for every disk, or plain lines without a terminal."""
    service.get(f"{IMPORTS}/{import_id}")
    watch(service, output, import_id)


@service_command(app, "list")
def list_imports(
    service: Service,
    output: Output,
    state: Annotated[list[str] | None, typer.Option(help="Only those in this state.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY:VALUE", help="Only those with it.")] = None,
    storage_domain: Annotated[str | None, typer.Option(help="Only those that go there.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
) -> None:
    """List imports, newest first."""
    domain = storage_domain_id(service, storage_domain, None) if storage_domain else None
    chosen = {"state": state, "label": label, "storage_domain_id": domain}
    found = service.items(IMPORTS, {name: value for name, value in chosen.items() if value}, limit=limit)
    if output.as_json:
        output.document({"items": found, "next_cursor": None})
        return
    output.table(
        ("ID", "NAME", "STATE", "STEP", "DONE", "LEFT", "CREATED"),
        [_row(document) for document in found],
        none="There are no such imports.",
    )


def _row(document: Json) -> list[object]:
    progress = document["progress"]
    return [
        document["id"],
        _name(document),
        document["state"],
        document["step"] or "",
        units.percent(progress["percent"]),
        units.duration(progress["eta_seconds"]),
        document["created_at"],
    ]


def _name(document: Json) -> str:
    spec = document["spec"]
    return (spec["vm"]["name"] or spec["source"].get("path") or "") if spec else ""


@service_command(app, "show")
def show_import(service: Service, output: Output, import_id: ImportId) -> None:
    """Show all that is known of an import."""
    document = service.get(f"{IMPORTS}/{import_id}")
    if output.as_json:
        output.document(document)
    else:
        _show(output, document)


def _show(output: Output, document: Json) -> None:
    spec, progress = document["spec"], document["progress"]
    output.facts(
        [
            ("id", document["id"]),
            ("name", spec and spec["vm"]["name"]),
            ("source", spec and f"{spec['source']['kind']} {spec['source'].get('path') or ''}"),
            ("state", heading(document)),
            ("storage domain", document["storage_domain_id"]),
            ("proxy host", document["proxy_host_id"]),
            ("VM", document["vm_id"]),
            ("progress", f"{units.percent(progress['percent'])} of {units.size(progress['bytes_total'])}"),
            ("priority", document["priority"]),
            ("labels", ", ".join(f"{key}={value}" for key, value in document["labels"].items()) or None),
            ("created", f"{document['created_at']} by {document['created_by']}"),
            ("took", units.between(document["started_at"], document["finished_at"])),
        ]
    )
    _show_parts(output, document)


def _show_parts(output: Output, document: Json) -> None:
    for disk in document["disk_progress"]:
        size, done = units.size(disk["capacity_bytes"]), units.percent(disk["percent"])
        output.facts([(f"disk {disk['number']}", f"{disk['label']}  {size}  {disk['state']}  {done}")])
    for attempt in document["attempts"]:
        took = units.between(attempt["started_at"], attempt["finished_at"])
        output.facts([(f"attempt {attempt['number']}", f"{attempt['outcome'] or 'runs'}, {took}")])
    for warning in document["warnings"]:
        output.facts([("warning", f"{warning['message']} ({warning['code']})")])
    if document["problem"]:
        output.safe_lines(problem_lines(document["problem"]))


@service_command(app, "cancel")
def cancel_import(
    service: Service,
    output: Output,
    import_id: ImportId,
    force: Annotated[bool, typer.Option("--force", help="Leave what can't be removed now (admin).")] = False,
    follow: Annotated[bool, typer.Option(help="Watch until everything is undone.")] = False,
) -> None:
    """Cancel an import; what it made is removed."""
    _changed(service, output, f"{IMPORTS}/{import_id}/cancel", {"force": force}, follow=follow)


@service_command(app, "retry")
def retry_import(
    service: Service,
    output: Output,
    import_id: ImportId,
    proxy_host: Annotated[str | None, typer.Option(help="On this proxy host, by name or id.")] = None,
    accept_concern: Annotated[list[str] | None, typer.Option(metavar="CODE")] = None,
    follow: Annotated[bool, typer.Option(help="Watch it until it ends.")] = True,
) -> None:
    """Try a failed or cancelled import again."""
    body: Json = {}
    if proxy_host is not None:
        body["proxy_host_id"] = proxy_host_id(service, proxy_host)
    if accept_concern:
        body["accept_concerns"] = accept_concern
    _changed(service, output, f"{IMPORTS}/{import_id}/retry", body, follow=follow)


def _changed(service: Service, output: Output, path: str, body: Json, *, follow: bool) -> None:
    document = service.post(path, body)
    if follow:
        watch(service, output, document["id"])
    if output.as_json:
        output.document(document)
    else:
        output.line(f"{document['id']}: {heading(document)}")


@service_command(app, "log")
def show_log(
    service: Service,
    output: Output,
    import_id: ImportId,
    attempt: Annotated[int | None, typer.Option(min=1, help="Of this attempt; else of the newest.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on while it grows.")] = False,
    tail: Annotated[int | None, typer.Option(min=1, metavar="BYTES", help="Only the end.")] = None,
) -> None:
    """Print virt-v2v's log of an import."""
    document = service.get(f"{IMPORTS}/{import_id}")
    print_log(service, output, import_id, attempt or document["attempt"], follow=follow, tail=tail)
