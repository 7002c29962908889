"""For commands that work in this process: settings, modules that are loaded late, problems."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.exits import ExitCode
from app.cli.output import Output

if TYPE_CHECKING:
    from app.settings import Settings

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Where it keeps all it has [env: V2V_IMPORT_DATA_DIR; default: v2v-import-data].",
        show_default=False,
    ),
]


def load(name: str) -> ModuleType:
    """The module, loaded now rather than when the command starts."""
    return importlib.import_module(name)


def local_settings(**given: Any) -> "Settings":
    """The environment's settings with the options over them; leaves with a usage error for bad ones."""
    module = load("app.settings")
    options = {name: value for name, value in given.items() if value is not None}
    try:
        settings: Settings = module.Settings(**options)
    except load("pydantic").ValidationError as error:
        for fault in error.errors(include_input=False):
            name = "_".join(str(part) for part in fault["loc"]).upper()
            typer.echo(f"V2V_IMPORT_{name}: {fault['msg']}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error
    load("app.logs").configure(log_format=settings.log_format, level=settings.log_level)
    return settings


@contextmanager
def problems_shown(output: Output | None = None) -> Iterator[None]:
    """An expected failure inside is printed as a problem and ends the command."""
    try:
        yield
    except load("app.errors").AppError as error:
        shown = output or Output(as_json=False)
        shown.problem(error.to_problem().model_dump(mode="json"))
        raise typer.Exit(ExitCode.FAILED) from error
