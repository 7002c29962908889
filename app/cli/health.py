"""`v2v-import health`: asks whether the service is well; for container health checks and scripts."""

from typing import Annotated

import typer

from app.cli.client import Service
from app.cli.commands import service_command
from app.cli.output import Output

app = typer.Typer()


@service_command(app, "health")
def show_health(
    service: Service,
    output: Output,
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask whether it can serve, not only whether it lives.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="With --ready: Redis and a worker are wanted, too.")
    ] = False,
) -> None:
    """Ask whether the service lives; exit code 1 when not."""
    query = {"strict": "1"} if strict else {}
    answer = service.get("/readyz", query) if ready else service.get("/healthz")
    if output.as_json:
        output.document(answer)
    else:
        output.line("ready" if ready else "alive")
