"""Puts the commands together."""

from importlib.metadata import version
from typing import Annotated

import typer

from app.cli import (
    create_import,
    data_centers,
    health,
    imports,
    orphans,
    programs,
    providers,
    proxy_hosts,
    scans,
    storage_domains,
    tokens,
    uploads,
)

EPILOG = "Exit codes: 0 succeeded, 1 failed, 2 usage, 3 the import was cancelled, 130 Ctrl-C."

app = typer.Typer(
    name="v2v-import",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EPILOG,
)
for part in (programs.app, create_import.app, imports.top, uploads.top, health.app):
    app.add_typer(part)
app.add_typer(tokens.app, name="token")
app.add_typer(imports.app, name="imports")
app.add_typer(proxy_hosts.app, name="proxy-hosts")
app.add_typer(providers.app, name="providers")
app.add_typer(storage_domains.app, name="storage-domains")
app.add_typer(scans.app, name="scans")
app.add_typer(uploads.app, name="uploads")
app.add_typer(orphans.app, name="orphans")
app.add_typer(data_centers.app, name="data-centers")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("v2v-import-service"))
        raise typer.Exit


@app.callback()
def about(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Import virtual machines with virt-v2v: run the service, start imports, watch them."""


def main() -> None:
    """The entry point of `v2v-import`."""
    app()
