"""`v2v-import providers …`: adds external systems that hold VMs, accepts their keys, lists their VMs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import units
from app.cli.client import Service
from app.cli.commands import service_command
from app.cli.exits import ExitCode
from app.cli.output import Json, Output
from app.cli.places import PROVIDERS, provider_id, proxy_host_id
from app.cli.text import safe
from app.cli.values import read_document, read_secret, read_text

app = typer.Typer(help="Add, check and list providers, and the VMs that they have.", no_args_is_help=True)

ProviderName = Annotated[str, typer.Argument(help="By name or id.", metavar="PROVIDER")]


class ProviderKind(StrEnum):
    VMWARE = "vmware"
    KVM = "kvm"
    XEN = "xen"


class VmState(StrEnum):
    UP = "up"
    DOWN = "down"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"


@service_command(app, "add")
def add_provider(
    service: Service,
    output: Output,
    name: Annotated[str | None, typer.Argument(help="Needed unless --from has one.")] = None,
    kind: Annotated[ProviderKind | None, typer.Option()] = None,
    at: Annotated[str | None, typer.Option(metavar="URL", help="Such as https://vcenter.")] = None,
    username: Annotated[str | None, typer.Option(help="Of the provider itself.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="Its password; - is stdin.")] = None,
    ssh_username: Annotated[str | None, typer.Option(help="Of its host; root unless said.")] = None,
    ssh_key_file: Annotated[Path | None, typer.Option(help="An OpenSSH private key.")] = None,
    ssh_password_file: Annotated[Path | None, typer.Option()] = None,
    ssh_host_key_file: Annotated[
        Path | None, typer.Option(help="The host's public key, known already.")
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="CA certificates in PEM.")] = None,
    thumbprint: Annotated[str | None, typer.Option(help="Accept this certificate and no other.")] = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Accept any certificate: whoever is on the way may read.")
    ] = False,
    proxy_host: Annotated[
        str | None, typer.Option(help="The proxy host that it is reached through, by name or id.")
    ] = None,
    max_concurrent_imports: Annotated[int | None, typer.Option(min=1)] = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="The whole request as JSON; - is stdin.")
    ] = None,
) -> None:
    """Add a provider and check it."""
    ssh = _given(
        username=ssh_username,
        private_key=read_secret(ssh_key_file) + "\n" if ssh_key_file is not None else None,
        password=read_secret(ssh_password_file) if ssh_password_file is not None else None,
        host_key=read_secret(ssh_host_key_file) if ssh_host_key_file is not None else None,
    )
    tls = _given(
        ca_pem=read_text(ca_file) if ca_file is not None else None,
        thumbprint=thumbprint,
        verify=False if no_verify else None,
    )
    body = read_document(source) if source is not None else {}
    body |= _given(
        name=name,
        kind=kind,
        url=at,
        username=username,
        password=read_secret(password_file) if password_file is not None else None,
        ssh=ssh or None,
        tls=tls or None,
        proxy_host_id=proxy_host_id(service, proxy_host) if proxy_host is not None else None,
        max_concurrent_imports=max_concurrent_imports,
    )
    if not {"name", "kind", "url"} <= body.keys():
        raise typer.BadParameter("give NAME, --kind and --at, or --from FILE")
    _show_checked(output, service.post(PROVIDERS, body))


def _given(**members: Any) -> Json:
    return {name: value for name, value in members.items() if value is not None}


@service_command(app, "check")
def check_provider(service: Service, output: Output, provider: ProviderName) -> None:
    """Log in now: does it answer, what is it?"""
    _show_checked(output, service.post(f"{_path(service, provider)}/check"))


def _path(service: Service, provider: str) -> str:
    return f"{PROVIDERS}/{provider_id(service, provider)}"


def _show_checked(output: Output, provider: Json) -> None:
    if output.as_json:
        output.document(provider)
    else:
        _show(output, provider)
    if provider["status"]["state"] != "up":
        raise typer.Exit(ExitCode.FAILED)


def _show(output: Output, provider: Json) -> None:
    status, inventory = provider["status"], provider["inventory"]
    output.facts(
        [
            ("id", provider["id"]),
            ("name", provider["name"]),
            ("kind", provider["kind"]),
            ("url", provider["url"]),
            ("state", status["state"]),
            ("product", status["product"]),
            ("version", status["version"]),
            ("fingerprint", status["fingerprint"]),
            ("thumbprint", status["offered_thumbprint"]),
            ("inventory", inventory["state"]),
            ("VMs", inventory["vm_count"]),
        ]
    )
    for problem in (status["problem"], inventory["problem"]):
        if problem:
            output.problem(problem)


@service_command(app, "refresh")
def refresh_provider(service: Service, output: Output, provider: ProviderName) -> None:
    """Begin to read its VMs anew; `check` and `list` tell how it goes."""
    document = service.post(f"{_path(service, provider)}/refresh")
    if output.as_json:
        output.document(document)
    else:
        output.line(f"The inventory of {safe(document['name'])} is being read.")


@service_command(app, "delete")
def delete_provider(service: Service, output: Output, provider: ProviderName) -> None:
    """Forget a provider that no import uses."""
    path = _path(service, provider)
    service.delete(path)
    if not output.as_json:
        output.line(f"Deleted {path.rsplit('/', 1)[-1]}.")


@service_command(app, "list")
def list_providers(service: Service, output: Output) -> None:
    """List providers."""
    found = service.items(PROVIDERS)
    if output.as_json:
        output.document({"items": found, "next_cursor": None})
        return
    output.table(
        ("ID", "NAME", "KIND", "STATE", "VMS", "URL"),
        [_row(provider) for provider in found],
        none="There are no providers.",
    )


def _row(provider: Json) -> tuple[object, ...]:
    status, inventory = provider["status"], provider["inventory"]
    problem = f" ({status['problem']['code']})" if status["problem"] else ""
    count = units.UNKNOWN if inventory["vm_count"] is None else inventory["vm_count"]
    return (
        provider["id"],
        provider["name"],
        provider["kind"],
        status["state"] + problem,
        count,
        provider["url"],
    )


@service_command(app, "vms")
def list_vms(
    service: Service,
    output: Output,
    provider: ProviderName,
    name: Annotated[str | None, typer.Option(help="A part of the name.")] = None,
    state: Annotated[VmState | None, typer.Option()] = None,
) -> None:
    """List a provider's VMs; the first call reads them."""
    found = service.items(f"{_path(service, provider)}/vms", _given(name=name, state=state))
    if output.as_json:
        output.document({"items": found, "next_cursor": None})
        return
    rows = [
        (
            vm["id"],
            vm["name"],
            vm["state"],
            units.UNKNOWN if vm["disk_count"] is None else vm["disk_count"],
            units.size(vm["capacity_bytes"]),
            ", ".join(concern["code"] for concern in vm["concerns"] if concern["severity"] == "critical"),
        )
        for vm in found
    ]
    output.table(("ID", "NAME", "STATE", "DISKS", "SIZE", "IN THE WAY"), rows, none="It has no such VMs.")
