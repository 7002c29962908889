"""`v2v-import orphans …`: what was left behind, and its removal."""

from typing import Annotated

import typer

from app.cli import units
from app.cli.client import PAGE, Service
from app.cli.commands import service_command
from app.cli.exits import ExitCode
from app.cli.output import Json, Output
from app.cli.text import safe

app = typer.Typer(
    help="List and remove what was left behind on proxy hosts and storage domains.", no_args_is_help=True
)
ORPHANS = "/v1/orphans"
AT_ONCE = 20
"""Ids a request: a removal takes its time, and the answer has to come in time."""


@service_command(app, "list")
def list_orphans(service: Service, output: Output) -> None:
    """List what carries our mark and belongs to no import and no VM. Proxy hosts are asked now."""
    found = _found(service)
    if output.as_json:
        output.document(found)
        return
    output.table(
        ("ID", "KIND", "SIZE", "RUNS", "PROXY HOST", "IMPORT", "PATH"),
        [_row(orphan) for orphan in found["items"]],
        none="There are no orphans.",
    )
    _note_unreachable(output, found)


@service_command(app, "remove")
def remove_orphans(
    service: Service,
    output: Output,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are listed now.")] = False,
) -> None:
    """End their processes and remove their files, if they are still nobody's."""
    if bool(ids) == everything:
        raise typer.BadParameter("give the IDs of orphans, or --all")
    found = _found(service) if everything else {"items": [], "unreachable": []}
    wanted = ids or [orphan["id"] for orphan in found["items"]]
    removals = [
        removal for start in range(0, len(wanted), AT_ONCE) for removal in _removed(service, wanted, start)
    ]
    if output.as_json:
        output.document({"items": removals, "unreachable": found["unreachable"]})
    else:
        _show(output, removals)
        _note_unreachable(output, found)
    if found["unreachable"] or any(removal["outcome"] == "failed" for removal in removals):
        raise typer.Exit(ExitCode.FAILED)


def _found(service: Service) -> Json:
    """The whole list; what could not be looked at is that of the last page, the newest look."""
    items: list[Json] = []
    cursor: str | None = None
    while True:
        page = service.get(ORPHANS, {"limit": PAGE, **({"cursor": cursor} if cursor else {})})
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return {"items": items, "unreachable": page["unreachable"], "next_cursor": None}


def _removed(service: Service, ids: list[str], start: int) -> list[Json]:
    found: list[Json] = service.post(f"{ORPHANS}/remove", {"ids": ids[start : start + AT_ONCE]})["items"]
    return found


def _row(orphan: Json) -> list[object]:
    return [
        orphan["id"],
        orphan["kind"].replace("_", " "),
        units.size(orphan["size_bytes"]),
        "yes" if orphan["running"] else "no",
        orphan["proxy_host_id"],
        orphan["import_id"] or "",
        orphan["path"] or "",
    ]


def _show(output: Output, removals: list[Json]) -> None:
    rows = [
        (removal["id"], removal["outcome"], safe((removal["problem"] or {}).get("detail") or ""))
        for removal in removals
    ]
    output.table(("ID", "OUTCOME", "PROBLEM"), rows, none="There are no orphans.")


def _note_unreachable(output: Output, found: Json) -> None:
    for place in found["unreachable"]:
        domain = f", storage domain {place['storage_domain_id']}" if place["storage_domain_id"] else ""
        output.note(
            f"not looked at: proxy host {place['proxy_host_id']}{domain}: {place['problem']['detail']}"
        )
