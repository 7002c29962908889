"""`v2v-import import`: builds an import's request from options, then creates and follows it."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli import units
from app.cli.client import Service
from app.cli.commands import service_command
from app.cli.exits import ExitCode
from app.cli.output import Json, Output
from app.cli.places import data_center_id, provider_id, proxy_host_id, storage_domain_id
from app.cli.text import safe
from app.cli.values import pairs, read_secret
from app.cli.watching import watch

app = typer.Typer()


class SourceKind(StrEnum):
    OVA = "ova"
    DISK = "disk"
    LIBVIRT_XML = "libvirt-xml"
    VMX = "vmx"
    EXPORT_DOMAIN = "export-domain"
    UPLOAD = "upload"
    PROVIDER_VM = "provider-vm"


class Format(StrEnum):
    RAW = "raw"
    QCOW2 = "qcow2"


class Allocation(StrEnum):
    SPARSE = "sparse"
    PREALLOCATED = "preallocated"


class Mode(StrEnum):
    CONVERT = "convert"
    COPY = "copy"


VM, NETWORKS, TARGET, RUN = "The VM", "Networks", "Where it goes", "How it runs"


def _size(text: str) -> int:
    try:
        return units.parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@service_command(app, "import")
def import_vm(
    service: Service,
    output: Output,
    kind: Annotated[SourceKind, typer.Argument(help="What the path is.")],
    path: Annotated[
        str,
        typer.Argument(
            help="Absolute path on the proxy host, or nfs://server/export/path; of uploads, their ids with "
            "commas between; of a VM of a provider, that by name or id, with --vm-id."
        ),
    ],
    to: Annotated[
        str | None, typer.Option(help="Storage domain, by name or id.", rich_help_panel=TARGET)
    ] = None,
    data_center: Annotated[
        str | None, typer.Option(help="Data center, by name or id.", rich_help_panel=TARGET)
    ] = None,
    proxy_host: Annotated[
        str | None,
        typer.Option(help="Proxy host, by name or id; else it is chosen for you.", rich_help_panel=TARGET),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The VM's name; else the source's.", rich_help_panel=VM)
    ] = None,
    cpu: Annotated[int | None, typer.Option(min=1, help="CPUs.", rich_help_panel=VM)] = None,
    memory: Annotated[
        int | None, typer.Option(parser=_size, metavar="SIZE", help="Such as 2G.", rich_help_panel=VM)
    ] = None,
    os: Annotated[str | None, typer.Option(help="Operating system.", rich_help_panel=VM)] = None,
    description: Annotated[str | None, typer.Option(rich_help_panel=VM)] = None,
    vm_id: Annotated[
        str | None, typer.Option(help="Which VM, where the source holds several.", rich_help_panel=VM)
    ] = None,
    disk_format: Annotated[Format, typer.Option("--format", rich_help_panel=TARGET)] = Format.RAW,
    allocation: Annotated[Allocation, typer.Option(rich_help_panel=TARGET)] = Allocation.SPARSE,
    exclude_disk: Annotated[
        list[str] | None, typer.Option(help="Id of a source disk to leave out.", rich_help_panel=VM)
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(metavar="IN:OUT", help="NICs of network IN go to OUT.", rich_help_panel=NETWORKS),
    ] = None,
    mac: Annotated[
        list[str] | None,
        typer.Option(metavar="MAC=OUT", help="The NIC with this MAC goes to OUT.", rich_help_panel=NETWORKS),
    ] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="copy leaves the guest as it is; else convert, but for an export domain.",
            rich_help_panel=RUN,
        ),
    ] = None,
    root: Annotated[
        str, typer.Option(help="first, single, or a device such as /dev/sda2.", rich_help_panel=RUN)
    ] = "first",
    luks_key_file: Annotated[
        list[Path] | None,
        typer.Option(help="A file with a passphrase of an encrypted disk.", rich_help_panel=RUN),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="virt-v2v tells all in its log.", rich_help_panel=RUN)
    ] = False,
    priority: Annotated[int, typer.Option(min=0, max=9, help="9 is first.", rich_help_panel=RUN)] = 5,
    start_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not before, RFC 3339.", rich_help_panel=RUN)
    ] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", rich_help_panel=RUN)] = None,
    accept_concern: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="A concern to go on with.", rich_help_panel=RUN)
    ] = None,
    keep_on_failure: Annotated[
        bool,
        typer.Option("--keep-on-failure", help="Leave what was made when it fails.", rich_help_panel=RUN),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only look whether it could run now.", rich_help_panel=RUN)
    ] = False,
    follow: Annotated[bool, typer.Option(help="Watch it until it ends.", rich_help_panel=RUN)] = True,
) -> None:
    """Import a VM, and follow it until it has ended."""
    if to is None and data_center is None:
        raise typer.BadParameter("give --to STORAGE_DOMAIN (or --data-center)")
    center = data_center_id(service, data_center) if data_center is not None else None
    body: Json = {
        "source": {**_source(service, kind, path), **({"vm_id": vm_id} if vm_id else {})},
        "storage_domain_id": storage_domain_id(service, to, center) if to is not None else None,
        "data_center_id": center if to is None else None,
        "proxy_host_id": proxy_host_id(service, proxy_host, center) if proxy_host is not None else None,
        "vm": {"name": name, "cpu_count": cpu, "memory_bytes": memory, "os": os, "description": description},
        "disk_defaults": {"format": disk_format, "allocation": allocation},
        "disks": [{"source_disk_id": disk, "include": False} for disk in exclude_disk or ()],
        "nics": _nics(network, mac),
        "conversion": {
            **({"mode": mode} if mode else {}),
            "root": root,
            "luks_keys": [read_secret(file) for file in luks_key_file or ()],
            "debug": debug,
        },
        "priority": priority,
        "start_after": start_after,
        "labels": dict(pairs(label, "=", "--label")),
        "keep_on_failure": keep_on_failure,
        "accept_concerns": accept_concern or [],
    }
    if check:
        _check(service, output, body)
    else:
        _start(service, output, body, follow=follow)


def _source(service: Service, kind: SourceKind, path: str) -> Json:
    if kind is SourceKind.PROVIDER_VM:
        return {"kind": "provider_vm", "provider_id": provider_id(service, path)}
    if kind is SourceKind.UPLOAD:
        return {"kind": kind, "upload_ids": path.split(",")}
    return {"kind": kind.replace("-", "_"), "path": path}


def _nics(networks: list[str] | None, macs: list[str] | None) -> list[Json]:
    by_network = [{"network": old, "target": new} for old, new in pairs(networks, ":", "--network")]
    return by_network + [{"mac": mac, "target": new} for mac, new in pairs(macs, "=", "--mac")]


def _start(service: Service, output: Output, body: Json, *, follow: bool) -> None:
    document = service.post("/v1/imports", body)
    if follow:
        if not output.as_json:
            output.line(f"Import {document['id']}")
        watch(service, output, document["id"])
    if output.as_json:
        output.document(document)
    else:
        output.line(document["id"])


def _check(service: Service, output: Output, body: Json) -> None:
    answer = service.post("/v1/imports/check", body)
    if output.as_json:
        output.document(answer)
    else:
        _show_check(output, answer)
    if not answer["importable"]:
        raise typer.Exit(ExitCode.FAILED)


def _show_check(output: Output, answer: Json) -> None:
    host = answer["proxy_host"]
    output.facts(
        [
            ("importable", "yes" if answer["importable"] else "no"),
            ("proxy host", f"{host['id']}: {host['reason']}" if host else None),
            ("command", shlex.join(answer["command"]) if answer["command"] else None),
        ]
    )
    for concern in answer["concerns"]:
        output.line(f"{concern['severity']}: {safe(concern['message'])} ({safe(concern['code'])})")
    for problem in answer["problems"]:
        output.problem(problem)
