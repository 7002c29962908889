"""`v2v-import up`, `api`, `worker`, `migrate`: starts the service's programs in this process.

Their modules are heavy to load, so each is loaded only when its command runs.
"""

import asyncio
import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.exits import ExitCode

if TYPE_CHECKING:
    from app.settings import Settings

app = typer.Typer()

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Where it keeps all it has [env: V2V_IMPORT_DATA_DIR; default: v2v-import-data].",
        show_default=False,
    ),
]
Host = Annotated[
    str | None,
    typer.Option(help="Address to listen on [env: V2V_IMPORT_HOST; default: 127.0.0.1].", show_default=False),
]
Port = Annotated[
    int | None,
    typer.Option(
        help="Port to listen on [env: V2V_IMPORT_PORT; default: 8400].", min=0, max=65535, show_default=False
    ),
]


def load(name: str) -> ModuleType:
    """The module, loaded now rather than when the command starts."""
    return importlib.import_module(name)


def settings_from(**given: Any) -> "Settings":
    """The environment's settings with the options over them; leaves with a usage error for bad ones."""
    module = load("app.settings")
    try:
        settings: Settings = module.Settings(
            **{name: value for name, value in given.items() if value is not None}
        )
    except ValueError as error:
        typer.echo(f"The settings are wrong: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    load("app.logs").configure(log_format=settings.log_format, level=settings.log_level)
    return settings


@app.command("up")
def up(data_dir: DataDir = None, host: Host = None, port: Port = None) -> None:
    """Start everything on this machine: database, Redis, API and worker.

    On the first start the admin token is written to DATA_DIR/admin-token. Every other setting is an
    environment variable V2V_IMPORT_…; docs/operators.md lists them.
    """
    load("app.up").run_up(settings_from(data_dir=data_dir, host=host, port=port))


@app.command("api")
def api(data_dir: DataDir = None, host: Host = None, port: Port = None) -> None:
    """Start one API process; database and Redis must be there."""
    load("app.main").run_api(settings_from(data_dir=data_dir, host=host, port=port))


@app.command("worker")
def worker(data_dir: DataDir = None) -> None:
    """Start one worker; database and Redis must be there."""
    asyncio.run(load("app.worker").run_worker(settings_from(data_dir=data_dir)))


@app.command("migrate")
def migrate(
    data_dir: DataDir = None,
    revision: Annotated[str, typer.Option(help="Where to; `base` takes the whole schema away.")] = "head",
) -> None:
    """Bring the database's schema to this program's."""
    settings = settings_from(data_dir=data_dir)
    settings.resolved_key_file().parent.mkdir(parents=True, exist_ok=True)
    load("app.db").migrate(settings.resolved_database_url(), revision)
    typer.echo(f"The schema is at {revision}.")
