"""`v2v-import token …`: works on the database directly, so that the first token can be made."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from app.cli.lazy import DataDirOption, load, local_settings, problems_shown
from app.cli.output import Output

app = typer.Typer(help="Create, list and revoke API tokens, in the database itself.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON rather than text.")]


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@app.command("create")
def create_token(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    role: Annotated[Role, typer.Option(help="viewer reads, operator also imports, admin also configures.")],
    expires_in_days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="Else it never expires.")
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a token and print it: the only time that it can be seen."""
    output = Output(as_json=as_json)
    created = _stored(output, data_dir, "create", name, role, expires_in_days)
    if as_json:
        output.document(created.model_dump(mode="json"))
    else:
        output.note(f"Token {created.id} for {created.name} ({created.role}). It is not shown again:")
        output.line(created.token)


@app.command("list")
def list_tokens(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List tokens, newest first; the tokens themselves are nowhere kept."""
    output = Output(as_json=as_json)
    found = [token.model_dump(mode="json") for token in _stored(output, data_dir, "all_tokens")]
    if as_json:
        output.document({"items": found, "next_cursor": None})
        return
    names = ("id", "name", "role", "created_at", "expires_at", "revoked_at")
    headers = ("ID", "NAME", "ROLE", "CREATED", "EXPIRES", "REVOKED")
    rows = [[token[name] or "" for name in names] for token in found]
    output.table(headers, rows, none="There are no tokens.")


@app.command("revoke")
def revoke_token(
    token: Annotated[str, typer.Argument(help="Its name or id, not the token itself.", metavar="NAME")],
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a token: it opens nothing any more."""
    output = Output(as_json=as_json)
    revoked = _stored(output, data_dir, "revoke", token)
    if as_json:
        output.document(revoked.model_dump(mode="json"))
    else:
        output.line(f"Revoked {revoked.id} ({revoked.name}).")


def _stored(output: Output, data_dir: Any, action: str, *arguments: object) -> Any:
    """What the action of the token store answers; its module is loaded only now."""
    settings = local_settings(data_dir=data_dir)
    with problems_shown(output):
        return getattr(load("app.cli.token_store"), action)(settings, *arguments)
