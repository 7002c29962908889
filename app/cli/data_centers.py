"""`v2v-import data-centers …`."""

from typing import Annotated

import typer

from app.cli.client import Service
from app.cli.commands import service_command
from app.cli.output import Output
from app.cli.places import CENTERS

app = typer.Typer(help="Add and list data centers.", no_args_is_help=True)


@service_command(app, "add")
def add_data_center(
    service: Service,
    output: Output,
    name: Annotated[str, typer.Argument()],
    description: Annotated[str, typer.Option()] = "",
    network: Annotated[list[str] | None, typer.Option(help="The name of a network.")] = None,
) -> None:
    """Add a data center."""
    networks = [{"name": each} for each in network or ()]
    added = service.post(CENTERS, {"name": name, "description": description, "networks": networks})
    if output.as_json:
        output.document(added)
    else:
        output.line(added["id"])


@service_command(app, "list")
def list_data_centers(service: Service, output: Output) -> None:
    """List data centers."""
    found = service.items(CENTERS)
    if output.as_json:
        output.document({"items": found, "next_cursor": None})
        return
    rows = [
        (center["id"], center["name"], ", ".join(network["name"] for network in center["networks"]))
        for center in found
    ]
    output.table(("ID", "NAME", "NETWORKS"), rows, none="There are no data centers.")
