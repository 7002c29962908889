"""`v2v-import up`, `api`, `worker`, `migrate`: starts the service's programs in this process.

Their modules are heavy to load, so each is loaded only when its command runs.
"""

import asyncio
from typing import Annotated

import typer

from app.cli.lazy import DataDirOption, load, local_settings, problems_shown

app = typer.Typer()

HostOption = Annotated[
    str | None,
    typer.Option(
        "--host",
        help="Address to listen on [env: V2V_IMPORT_HOST; default: 127.0.0.1].",
        show_default=False,
    ),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        help="Port to listen on [env: V2V_IMPORT_PORT; default: 8400].",
        min=0,
        max=65535,
        show_default=False,
    ),
]


@app.command("up")
def up(data_dir: DataDirOption = None, host: HostOption = None, port: PortOption = None) -> None:
    """Start everything on this machine: database, Redis, API and worker.

    On the first start the admin token is written to DATA_DIR/admin-token. Every other setting is an
    environment variable V2V_IMPORT_…; docs/operators.md lists them.
    """
    settings = local_settings(data_dir=data_dir, host=host, port=port)
    with problems_shown():
        load("app.up").run_up(settings)


@app.command("api")
def api(data_dir: DataDirOption = None, host: HostOption = None, port: PortOption = None) -> None:
    """Start one API process; database and Redis must be there."""
    settings = local_settings(data_dir=data_dir, host=host, port=port)
    with problems_shown():
        load("app.main").run_api(settings)


@app.command("worker")
def worker(data_dir: DataDirOption = None) -> None:
    """Start one worker; database and Redis must be there."""
    settings = local_settings(data_dir=data_dir)
    with problems_shown():
        asyncio.run(load("app.worker").run_worker(settings))


@app.command("migrate")
def migrate(
    data_dir: DataDirOption = None,
    revision: Annotated[str, typer.Option(help="Where to; `base` takes the whole schema away.")] = "head",
) -> None:
    """Bring the database's schema to this program's."""
    settings = local_settings(data_dir=data_dir)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with problems_shown():
        load("app.db").migrate(settings.resolved_database_url(), revision)
    typer.echo(f"The schema is at {revision}.")
