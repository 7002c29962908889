"""Turns a function of service and output into a command that knows how to connect and how to print."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from app.cli.client import ProblemError, Service
from app.cli.connection import DEFAULT_DATA_DIR, DEFAULT_URL, connect
from app.cli.exits import ExitCode
from app.cli.output import Output

P = ParamSpec("P")
PANEL = "Connection and output"

UrlOption = Annotated[
    str, typer.Option("--url", envvar="V2V_IMPORT_URL", help="Where the service is.", rich_help_panel=PANEL)
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="V2V_IMPORT_TOKEN",
        help="The API token; better by the environment or a file, where no process list shows it.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="V2V_IMPORT_TOKEN_FILE",
        help="A file that holds the token. Without one: DATA_DIR/admin-token, for a service on this machine.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
DataDirOption = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="V2V_IMPORT_DATA_DIR",
        help="The data directory of `up`.",
        rich_help_panel=PANEL,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON rather than text.", rich_help_panel=PANEL)
]


def _connection_options(
    url: UrlOption = DEFAULT_URL,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> tuple[Output, Callable[[], Service]]:
    return Output(as_json=as_json), lambda: connect(url, token, token_file, data_dir)


def service_command(
    app: typer.Typer, name: str
) -> Callable[[Callable[Concatenate[Service, Output, P], None]], None]:
    """Register a command that speaks to the service; its own options stand before the shared ones."""

    def register(function: Callable[Concatenate[Service, Output, P], None]) -> None:
        app.command(name)(_connected(function))

    return register


def _connected(function: Callable[Concatenate[Service, Output, P], None]) -> Callable[..., None]:
    shared = inspect.signature(_connection_options).parameters
    # Typer gives what the signature says; mypy can't see that through keywords.
    action: Callable[..., None] = function

    def command(**values: Any) -> None:
        output, connected = _connection_options(**{name: values.pop(name) for name in shared})
        run(output, connected, lambda service: action(service, output, **values))

    own = list(inspect.signature(function, eval_str=True).parameters.values())[2:]
    options = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *shared.values())
    ]
    # Typer reads a command's parameters from these.
    command.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]  # inspect honours it
    command.__annotations__ = {option.name: option.annotation for option in options}
    command.__doc__ = function.__doc__
    return command


def run(output: Output, connected: Callable[[], Service], action: Callable[[Service], None]) -> None:
    """Do it; a problem is printed and ends the command, and so does Ctrl-C."""
    service: Service | None = None
    try:
        service = connected()
        action(service)
    except ProblemError as problem:
        output.problem(problem.document)
        raise typer.Exit(ExitCode.FAILED) from problem
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from interrupt
    finally:
        if service is not None:
            service.close()
