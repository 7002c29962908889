"""`v2v-import scans …`: looks into a source, and shows how each VM in it is imported."""

import shlex
import time
from enum import StrEnum
from typing import Annotated, Final

import typer

from app.cli import units
from app.cli.client import Service
from app.cli.commands import service_command
from app.cli.exits import ExitCode
from app.cli.output import Json, Output
from app.cli.places import provider_id, proxy_host_id
from app.cli.text import safe

app = typer.Typer(help="Look into a source: which VMs are in it?", no_args_is_help=True)

SCANS: Final = "/v1/scans"
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 2.0


class ScanKind(StrEnum):
    OVA = "ova"
    FOLDER = "folder"
    DISK = "disk"
    LIBVIRT_XML = "libvirt-xml"
    VMX = "vmx"
    EXPORT_DOMAIN = "export-domain"
    PROVIDER_VM = "provider-vm"
    UPLOAD = "upload"


HAVE_A_PLACE: Final = frozenset({ScanKind.UPLOAD, ScanKind.PROVIDER_VM})
"""Those that may be looked at without saying where."""


ScanId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]


@service_command(app, "create")
def create_scan(
    service: Service,
    output: Output,
    kind: Annotated[ScanKind, typer.Argument(help="What the path is.")],
    path: Annotated[
        str,
        typer.Argument(
            help="Absolute path on the proxy host, or nfs://server/export/path; of uploads, their ids with "
            "commas between; of a VM of a provider, that by name or id, with --vm-id."
        ),
    ],
    proxy_host: Annotated[
        str | None,
        typer.Option(help="Proxy host, by name or id; uploads are on one, and a provider may be behind one."),
    ] = None,
    vm_id: Annotated[str | None, typer.Option(help="Which of a provider's VMs.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Also look into the guests.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until it has ended, and show what was found.")] = True,
) -> None:
    """Look into a source, and show what was found."""
    if proxy_host is None and kind not in HAVE_A_PLACE:
        raise typer.BadParameter("give --proxy-host: the path is one on that host")
    if (vm_id is None) is (kind is ScanKind.PROVIDER_VM):
        raise typer.BadParameter("--vm-id is for a VM of a provider, which needs it")
    body: Json = {"source": _source(service, kind, path, vm_id), **({"deep": True} if deep else {})}
    if proxy_host is not None:
        body["proxy_host_id"] = proxy_host_id(service, proxy_host)
    scan = service.post(SCANS, body)
    if wait:
        _show(output, _ended(service, output, scan))
    elif output.as_json:
        output.document(scan)
    else:
        output.line(scan["id"])


def _source(service: Service, kind: ScanKind, path: str, vm_id: str | None) -> Json:
    if kind is ScanKind.UPLOAD:
        return {"kind": kind, "upload_ids": path.split(",")}
    if kind is ScanKind.PROVIDER_VM:
        return {"kind": "provider_vm", "provider_id": provider_id(service, path), "vm_id": vm_id}
    return {"kind": kind.replace("-", "_"), "path": path}


def _ended(service: Service, output: Output, scan: Json) -> Json:
    """The scan when it has ended. Ctrl-C ends the waiting, never the scan."""
    pause = FIRST_PAUSE_SECONDS
    try:
        while scan["state"] in {"queued", "running"}:
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            scan = service.get(f"{SCANS}/{scan['id']}")
    except KeyboardInterrupt as interrupt:
        output.note(f"Stopped waiting; the scan goes on.\n  show it:  v2v-import scans show {scan['id']}")
        raise typer.Exit(ExitCode.INTERRUPTED) from interrupt
    return scan


@service_command(app, "show")
def show_scan(
    service: Service,
    output: Output,
    scan_id: ScanId,
    wait: Annotated[bool, typer.Option(help="Wait until it has ended.")] = True,
) -> None:
    """Show what a scan found."""
    scan = service.get(f"{SCANS}/{scan_id}")
    _show(output, _ended(service, output, scan) if wait else scan)


def _show(output: Output, scan: Json) -> None:
    """Leaves with an error when the scan failed."""
    if output.as_json:
        output.document(scan)
    else:
        _tell(output, scan)
    if scan["state"] == "failed":
        raise typer.Exit(ExitCode.FAILED)


def _tell(output: Output, scan: Json) -> None:
    output.note(f"Scan {scan['id']}: {scan['state']}")
    if scan["problem"]:
        output.problem(scan["problem"])
    if scan["state"] != "succeeded":
        return
    for item in scan["items"]:
        for line in _item(item, scan["proxy_host_id"]):
            output.line(line)
    if not scan["items"]:
        output.note("There is nothing in it that could be imported.")
    if not scan["complete"]:
        output.note("There is more than one scan looks at: scan the folders below by themselves.")


def _item(item: Json, host_id: str) -> list[str]:
    where, vm = safe(item["path"] or _named(item["source"])), item["vm"]
    if vm is None:
        return [f"{where}: can't be imported: {safe(item['problem']['detail'])}"]
    size = units.size(vm["capacity_bytes"]) if vm["capacity_bytes"] is not None else units.UNKNOWN
    lines = [f"{where}: {safe(vm['name'])}, {len(vm['disks'])} disks, {size}"]
    if vm.get("guest"):
        lines.append(f"  guest: {safe(vm['guest']['name'] or vm['guest']['type'] or 'no system')}")
    if item.get("guest_problem"):
        lines.append(f"  guest: {safe(item['guest_problem']['detail'])}")
    lines += [f"  {found['severity']}: {safe(found['message'])}" for found in vm["concerns"]]
    return [*lines, f"  {_command(item['source'], host_id)}"]


def _command(source: Json, host_id: str) -> str:
    """What imports it."""
    words = ["v2v-import", "import", source["kind"].replace("_", "-"), _place(source)]
    words += ["--proxy-host", host_id]
    return safe(shlex.join([*words, *(["--vm-id", source["vm_id"]] if source.get("vm_id") else [])]))


def _named(source: Json) -> str:
    """What has no path."""
    return "uploads" if source["kind"] == "upload" else f"VM {source['vm_id']}"


def _place(source: Json) -> str:
    """The path, or what stands for it on the command line."""
    return str(source.get("path") or source.get("provider_id") or ",".join(source.get("upload_ids", ())))


@service_command(app, "list")
def list_scans(service: Service, output: Output) -> None:
    """List scans, newest first."""
    found = service.items(SCANS)
    if output.as_json:
        output.document({"items": found, "next_cursor": None})
        return
    output.table(
        ("ID", "KIND", "PATH", "STATE", "FOUND", "CREATED"),
        [_row(scan) for scan in found],
        none="There are no scans.",
    )


def _row(scan: Json) -> list[object]:
    source = scan["source"] or {}
    found = scan["item_count"] if scan["state"] == "succeeded" else ""
    return [scan["id"], source.get("kind"), safe(_place(source)), scan["state"], found, scan["created_at"]]


@service_command(app, "delete")
def delete_scans(
    service: Service,
    output: Output,
    ids: Annotated[list[str], typer.Argument(metavar="ID", show_default=False)],
) -> None:
    """Delete scans; one that runs is stopped."""
    for scan_id in ids:
        service.delete(f"{SCANS}/{scan_id}")
        if not output.as_json:
            output.line(f"{scan_id}: deleted")
