"""Watches an import to its end and says how it ended."""

from typing import NoReturn

import typer

from app.cli import units
from app.cli.bars import BarsView
from app.cli.client import ProblemError, Service
from app.cli.exits import ENDED, ExitCode
from app.cli.output import Json, Output
from app.cli.stream import Event, Follower
from app.cli.text import safe
from app.cli.views import JsonView, LinesView, View


def watch(service: Service, output: Output, import_id: str) -> NoReturn:
    """Follow it, then leave with the exit code of its end. Ctrl-C ends the watching, never the import."""
    try:
        document = follow(service, output, import_id)
    except KeyboardInterrupt as interrupt:
        output.note(
            "Stopped watching; the import goes on.\n"
            f"  watch it again:  v2v-import watch {import_id}\n"
            f"  cancel it:       v2v-import imports cancel {import_id}"
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from interrupt
    if not output.as_json:
        _conclude(service, output, document)
    raise typer.Exit(ENDED[document["state"]])


def follow(service: Service, output: Output, import_id: str) -> Json:
    """The import as it ended."""
    document: Json = {}
    with _view(output) as view:
        follower = Follower(
            service, import_id, lost=lambda why: view.note(f"The connection was lost ({why}); trying again.")
        )
        for event in follower.events():
            document = apply(document, event)
            if document:
                view.show(event, document)
    return document


def _view(output: Output) -> View:
    if output.as_json:
        return JsonView(output)
    return BarsView(output) if output.console.is_terminal else LinesView(output)


def apply(document: Json, event: Event) -> Json:
    """The import after the event. Progress of an attempt that is over changes nothing."""
    for whole in event.imports():
        return whole
    if event.kind == "progress" and document and event.data["attempt"] >= document["attempt"]:
        return {**document, **{name: event.data[name] for name in ("progress", "disk_progress")}}
    return document


def _conclude(service: Service, output: Output, document: Json) -> None:
    took = units.between(document["started_at"], document["finished_at"])
    output.line(f"The import {document['id']} {_ended(document['state'])} after {took}.")
    if document["problem"]:
        output.problem(document["problem"])
    if document["state"] == "failed":
        output.note(
            f"  Log:   v2v-import imports log {document['id']}\n"
            f"  Retry: v2v-import imports retry {document['id']}"
        )
    if document["vm_id"]:
        _landed(service, output, document["vm_id"])


def _ended(state: str) -> str:
    return "was cancelled" if state == "cancelled" else state


def _landed(service: Service, output: Output, vm_id: str) -> None:
    """Where the VM and its disks are now; a VM that somebody has removed meanwhile is no failure."""
    try:
        vm = service.get(f"/v1/vms/{vm_id}")
        disks = [service.get(f"/v1/disks/{disk_id}") for disk_id in vm["disk_ids"]]
    except ProblemError:
        return
    output.line(f"VM {safe(vm['name'])} ({vm['id']})")
    for disk in disks:
        place, capacity = disk["location"], units.size(disk["capacity_bytes"])
        where, used = safe(place.get("path") or place.get("url")), units.size(disk["actual_bytes"])
        output.line(f"  {where}  {disk['format']}, {capacity}, {used} used")
