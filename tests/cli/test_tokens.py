"""`token` and `migrate`: on the database itself."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.root import app
from app.db import Database
from app.models.tokens import ApiToken
from app.services import tokens
from app.settings import Settings


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    assert run("migrate", tmp_path / "data").exit_code == 0
    return tmp_path / "data"


def run(command: str, data_dir: Path, *arguments: str) -> Result:
    named = [*command.split(), *arguments, "--data-dir", str(data_dir)]
    return CliRunner().invoke(app, named, env={"V2V_IMPORT_DATABASE_URL": None})


def authenticated(data_dir: Path, token: str) -> ApiToken:
    async def look() -> ApiToken:
        database = Database(Settings(data_dir=data_dir).resolved_database_url())
        try:
            async with database.reading() as session:
                return await tokens.authenticate(session, f"Bearer {token}")
        finally:
            await database.close()

    return asyncio.run(look())


def test_a_created_token_opens_the_service(data_dir: Path) -> None:
    result = run("token create", data_dir, "night shift", "--role", "operator")
    assert result.exit_code == 0, result.output
    row = authenticated(data_dir, result.stdout.strip())
    assert (row.name, row.role, row.expires_at) == ("night shift", "operator", None)
    assert "not shown again" in result.stderr


def test_a_token_may_expire(data_dir: Path) -> None:
    result = run("token create", data_dir, "guest", "--role", "viewer", "--expires-in-days", "7", "--json")
    created = json.loads(result.stdout)
    assert created["expires_at"] > created["created_at"]
    assert authenticated(data_dir, created["token"]).name == "guest"


def test_a_name_that_is_none_is_refused(data_dir: Path) -> None:
    result = run("token create", data_dir, " ", "--role", "viewer")
    assert result.exit_code == 1
    assert "/name" in result.stderr


def test_a_list_shows_no_token(data_dir: Path) -> None:
    token = run("token create", data_dir, "ci", "--role", "admin").stdout.strip()
    listed = run("token list", data_dir).stdout
    assert "ci" in listed
    assert token not in listed
    [item] = json.loads(run("token list", data_dir, "--json").stdout)["items"]
    assert "token" not in item


def test_a_revoked_token_opens_nothing(data_dir: Path) -> None:
    token = run("token create", data_dir, "ci", "--role", "admin").stdout.strip()
    assert run("token revoke", data_dir, "ci").exit_code == 0
    with pytest.raises(Exception, match="revoked"):
        authenticated(data_dir, token)
    assert "not_found" in run("token revoke", data_dir, "ci").stderr


def test_a_name_that_fits_several_tokens_is_refused(data_dir: Path) -> None:
    for _ in range(2):
        run("token create", data_dir, "ci", "--role", "viewer")
    result = run("token revoke", data_dir, "ci")
    assert result.exit_code == 1
    assert "Give the id." in result.stderr
    identity = json.loads(run("token list", data_dir, "--json").stdout)["items"][0]["id"]
    assert run("token revoke", data_dir, identity).exit_code == 0


def test_without_a_database_it_says_what_to_do(tmp_path: Path) -> None:
    result = run("token list", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "v2v-import up" in result.stderr
    assert not (tmp_path / "nowhere").exists()


def test_an_empty_database_is_told_to_be_migrated(tmp_path: Path) -> None:
    result = run("token list", tmp_path)
    assert result.exit_code == 1
    assert "schema_mismatch" in result.stderr
    assert "v2v-import migrate" in result.stderr


def test_a_wrong_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("V2V_IMPORT_PORT", "many")
    result = run("token list", tmp_path)
    assert result.exit_code == 2
    assert "V2V_IMPORT_PORT" in result.stderr
