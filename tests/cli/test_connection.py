"""Where the service is, whose token speaks to it, and what a problem looks like."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.client import ProblemError, Service
from app.cli.connection import connect
from app.cli.root import app
from tests.support.api_stand_in import DOMAIN_ID, Answer, StandIn, answer, page, problem, run

CENTERS = "/v1/data-centers"
HEAVY = ("fastapi", "sqlalchemy", "sqlmodel", "asyncssh", "arq", "redis", "pydantic_settings", "alembic")


def authorization(service: Service) -> str | None:
    headers = dict(service._http.headers)
    service.close()
    return headers.get("authorization")


def test_the_data_directorys_token_is_used_on_this_machine_only(tmp_path: Path) -> None:
    (tmp_path / "admin-token").write_text("v2v_own\n")
    assert authorization(connect("http://127.0.0.1:1", None, None, tmp_path)) == "Bearer v2v_own"
    assert authorization(connect("http://[::1]:1", None, None, tmp_path)) == "Bearer v2v_own"
    assert authorization(connect("https://imports.example", None, None, tmp_path)) is None
    assert authorization(connect("http://127.0.0.1.example", None, None, tmp_path)) is None


def test_a_token_goes_before_a_file_and_a_file_before_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "admin-token").write_text("v2v_own")
    mine = tmp_path / "mine"
    mine.write_text("v2v_mine\n")
    assert authorization(connect("http://localhost", "v2v_given", mine, tmp_path)) == "Bearer v2v_given"
    assert authorization(connect("http://localhost", None, mine, tmp_path)) == "Bearer v2v_mine"


def test_an_unreadable_token_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="nowhere"):
        connect("http://localhost", None, tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize("url", ["127.0.0.1:8400", "ftp://host", "http://", ""])
def test_what_is_no_url_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="http://"):
        connect(url, None, None, tmp_path)


def test_the_token_is_sent_and_never_shown(stand_in: StandIn) -> None:
    stand_in.on("GET", CENTERS, problem(403, "forbidden", "No"))
    result = run(stand_in, "data-centers", "list")
    assert stand_in.headers(CENTERS, "Authorization") == ["Bearer v2v_secret-token"]
    assert "secret-token" not in result.output


def test_a_problem_is_shown_with_its_field_errors_and_hint(stand_in: StandIn) -> None:
    errors = [{"pointer": "/name", "code": "too_long", "detail": "At most 255\x1b[0m characters"}]
    told = problem(
        422, "validation_error", "It does not fit", detail="1 error", errors=errors, hint="Shorten."
    )
    stand_in.on("POST", CENTERS, told)
    result = run(stand_in, "data-centers", "add", "x")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "Error: It does not fit (validation_error)",
        "  1 error",
        "  /name: At most 255\ufffd[0m characters",
        "  Hint: Shorten.",
    ]


def test_with_json_the_problem_document_is_on_standard_error(stand_in: StandIn) -> None:
    stand_in.on("POST", CENTERS, problem(409, "name_in_use", "The name is in use"))
    result = run(stand_in, "data-centers", "add", "x", "--json")
    assert json.loads(result.stderr)["code"] == "name_in_use"
    assert result.stdout == ""


def test_an_answer_that_is_not_the_services_is_told(stand_in: StandIn) -> None:
    stand_in.on("GET", CENTERS, Answer(502, b"<html>Bad gateway", "text/html"))
    result = run(stand_in, "data-centers", "list")
    assert result.exit_code == 1
    assert "unexpected_answer" in result.stderr
    assert "502" in result.stderr


def test_a_service_that_does_not_run_is_told_with_what_to_do() -> None:
    result = CliRunner().invoke(app, ["imports", "list", "--url", "http://127.0.0.1:1"])
    assert result.exit_code == 1
    assert "service_unreachable" in result.stderr
    assert "v2v-import up" in result.stderr


def test_a_post_whose_answer_got_lost_is_sent_again_under_the_same_key(stand_in: StandIn) -> None:
    lost = Answer(201, b'{"id":', breaks=True)
    stand_in.on("POST", CENTERS, lost, answer({"id": DOMAIN_ID}, 201))
    result = run(stand_in, "data-centers", "add", "north")
    first, second = stand_in.headers(CENTERS, "Idempotency-Key")
    assert first
    assert first == second
    assert result.stdout.strip() == DOMAIN_ID


def test_a_list_is_read_page_after_page(stand_in: StandIn) -> None:
    first = answer({"items": [{"id": "1", "name": "a", "networks": []}], "next_cursor": "next page"})
    stand_in.on("GET", CENTERS, first, page({"id": "2", "name": "b", "networks": [{"name": "lan"}]}))
    result = run(stand_in, "data-centers", "list")
    assert result.stdout.splitlines() == ["ID  NAME  NETWORKS", "1   a", "2   b     lan"]
    assert stand_in.asked[1].query["cursor"] == ["next page"]


def test_wrong_usage_ends_with_2(stand_in: StandIn) -> None:
    assert run(stand_in, "imports", "list", "--limit", "0").exit_code == 2
    assert run(stand_in, "no-such-command").exit_code == 2


def test_health_tells_by_its_exit_code(stand_in: StandIn) -> None:
    stand_in.on("GET", "/healthz", answer({"status": "ok"}))
    stand_in.on("GET", "/readyz", problem(503, "unavailable", "Not ready"))
    assert run(stand_in, "health").exit_code == 0
    assert run(stand_in, "health", "--ready").exit_code == 1


def test_help_loads_nothing_heavy() -> None:
    program = "import sys, app.cli.root; print([name for name in sys.argv[1:] if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", program, *HEAVY], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
