"""`v2v-import proxy-hosts …`: enrols hosts; their key is accepted by a person or by its fingerprint."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli import units
from app.cli.client import Service, local_problem
from app.cli.commands import service_command
from app.cli.exits import ExitCode
from app.cli.output import Json, Output
from app.cli.places import HOSTS, data_center_id, proxy_host_id
from app.cli.text import safe
from app.cli.values import read_document, read_secret

app = typer.Typer(help="Add, list and check proxy hosts; accept their keys.", no_args_is_help=True)

HostName = Annotated[str, typer.Argument(help="By name or id.", metavar="HOST")]
AcceptKey = Annotated[bool, typer.Option("--accept-key", help="Accept the key that the host shows now.")]
AcceptFingerprint = Annotated[
    str | None,
    typer.Option(metavar="SHA256:…", help="Accept the key only if it has this fingerprint; for scripts."),
]


@service_command(app, "add")
def add_proxy_host(
    service: Service,
    output: Output,
    name: Annotated[str | None, typer.Argument(help="Needed unless --from has one.")] = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="The whole request as JSON; - is stdin.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Host name or IP address.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="22 unless said.")] = None,
    username: Annotated[str | None, typer.Option(help="root unless said.")] = None,
    private_key_file: Annotated[Path | None, typer.Option(help="An OpenSSH private key.")] = None,
    password_file: Annotated[Path | None, typer.Option()] = None,
    host_key_file: Annotated[Path | None, typer.Option(help="The host's public key, known already.")] = None,
    sudo: Annotated[bool, typer.Option("--sudo", help="Become root by `sudo -n`.")] = False,
    work_dir: Annotated[str | None, typer.Option(help="Where attempts keep their files.")] = None,
    virt_v2v_path: Annotated[str | None, typer.Option()] = None,
    source_root: Annotated[
        list[str] | None, typer.Option(help="A directory imports may read, or nfs://server/export.")
    ] = None,
    max_concurrent_imports: Annotated[int | None, typer.Option(min=1)] = None,
    data_center: Annotated[str | None, typer.Option(help="By name or id; else the only one.")] = None,
    accept_key: AcceptKey = False,
    accept_fingerprint: AcceptFingerprint = None,
) -> None:
    """Add a proxy host, accept its key and check it."""
    given: Json = {
        "name": name,
        "address": address,
        "port": port,
        "username": username,
        "private_key": _key(private_key_file) if private_key_file is not None else None,
        "password": read_secret(password_file) if password_file is not None else None,
        "host_key": read_secret(host_key_file) if host_key_file is not None else None,
        "sudo": sudo or None,
        "work_dir": work_dir,
        "virt_v2v_path": virt_v2v_path,
        "source_roots": source_root,
        "max_concurrent_imports": max_concurrent_imports,
    }
    body = read_document(source) if source is not None else {}
    body |= {field: value for field, value in given.items() if value is not None}
    if not {"name", "address"} <= body.keys():
        raise typer.BadParameter("give NAME and --address, or --from FILE")
    if data_center is not None or body.get("data_center_id") is None:
        body["data_center_id"] = data_center_id(service, data_center)
    host = service.post(HOSTS, body)
    _enrol(service, output, host, accept_key=accept_key, fingerprint=accept_fingerprint)


def _key(path: Path) -> str:
    # OpenSSH refuses a private key whose last line has no end.
    return read_secret(path) + "\n"


@service_command(app, "accept-key")
def accept_host_key(
    service: Service,
    output: Output,
    host: HostName,
    accept_key: AcceptKey = False,
    accept_fingerprint: AcceptFingerprint = None,
) -> None:
    """Show the key that a host offers, and accept it."""
    found = service.post(f"{HOSTS}/{proxy_host_id(service, host)}/check")
    _enrol(service, output, found, accept_key=accept_key, fingerprint=accept_fingerprint)


def _enrol(
    service: Service, output: Output, host: Json, *, accept_key: bool, fingerprint: str | None
) -> None:
    """Accept the offered key if there is one to accept, then show the checked host."""
    path = f"{HOSTS}/{host['id']}"
    is_shown = host["status"]["fingerprint"] is not None
    if not is_shown and (host["host_key"] is None or fingerprint is not None):
        host = service.post(f"{path}/check")
    offered, shown = host["status"]["offered_host_key"], host["status"]["fingerprint"]
    if fingerprint is not None and fingerprint != shown:
        raise _not_accepted(host, f"It shows {shown}, not {fingerprint}.")
    if offered is not None and offered != host["host_key"]:
        _agree(output, host, is_agreed=accept_key or fingerprint is not None)
        service.patch(path, {"host_key": offered})
    _show_checked(service, output, path)


def _agree(output: Output, host: Json, *, is_agreed: bool) -> None:
    """Returns only when the shown key is to be accepted."""
    shown = host["status"]["fingerprint"]
    output.note(f"The proxy host {host['name']} ({host['address']}:{host['port']}) shows the key {shown}")
    if is_agreed or (output.is_terminal and typer.confirm("Accept it?", err=True)):
        return
    raise _not_accepted(host, f"It shows {shown}.")


def _not_accepted(host: Json, detail: str) -> Exception:
    return local_problem(
        "host_key_unverified",
        "The proxy host's key was not accepted",
        detail,
        f"Compare with the host's, then: v2v-import proxy-hosts accept-key {host['id']}"
        " --accept-fingerprint SHA256:…",
    )


@service_command(app, "check")
def check_proxy_host(service: Service, output: Output, host: HostName) -> None:
    """Probe a host now: does it answer, what can its virt-v2v do?"""
    _show_checked(service, output, f"{HOSTS}/{proxy_host_id(service, host)}")


def _show_checked(service: Service, output: Output, path: str) -> None:
    host = service.post(f"{path}/check")
    if output.as_json:
        output.document(host)
    else:
        _show(output, host)
    if host["status"]["state"] not in {"up", "disabled"}:
        raise typer.Exit(ExitCode.FAILED)


def _show(output: Output, host: Json) -> None:
    status = host["status"]
    tool = status["virt_v2v"]
    output.facts(
        [
            ("id", host["id"]),
            ("name", host["name"]),
            ("address", f"{host['username']}@{host['address']}:{host['port']}"),
            ("state", status["state"]),
            ("fingerprint", status["fingerprint"]),
            ("virt-v2v", tool and tool["version"]),
            ("inputs", tool and ", ".join(tool["inputs"])),
            ("outputs", tool and ", ".join(tool["outputs"])),
            ("cores", status["cpu_count"]),
            ("memory", status["memory_bytes"] and units.size(status["memory_bytes"])),
            ("free", status["free_bytes"] and units.size(status["free_bytes"])),
        ]
    )
    if status["problem"]:
        output.problem(status["problem"])


@service_command(app, "list")
def list_proxy_hosts(service: Service, output: Output) -> None:
    """List proxy hosts."""
    found = service.items(HOSTS)
    if output.as_json:
        output.document({"items": found, "next_cursor": None})
        return
    output.table(
        ("ID", "NAME", "ADDRESS", "STATE", "VIRT-V2V", "RUNNING"),
        [_row(host) for host in found],
        none="There are no proxy hosts.",
    )


def _row(host: Json) -> tuple[object, ...]:
    status = host["status"]
    problem = f" ({status['problem']['code']})" if status["problem"] else ""
    version = status["virt_v2v"]["version"] if status["virt_v2v"] else units.UNKNOWN
    address = f"{safe(host['address'])}:{host['port']}"
    return host["id"], host["name"], address, status["state"] + problem, version, status["running_imports"]
