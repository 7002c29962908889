"""Logs: to standard error, secrets masked."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from app import logs


@pytest.fixture(autouse=True)
def _own_configuration() -> Iterator[None]:
    root = logging.getLogger()
    before, handlers, level = structlog.get_config(), list(root.handlers), root.level
    yield
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level


def written(err: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in err.splitlines()]


def test_an_event_is_one_line_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(log_format="json", level="info")
    logs.get("turn").info("step.done", import_id="7", took_seconds=1.5)
    [line] = written(capsys.readouterr().err)
    timestamp = line.pop("timestamp")
    assert str(timestamp).endswith("Z")
    assert line == {
        "component": "turn",
        "event": "step.done",
        "import_id": "7",
        "level": "info",
        "took_seconds": 1.5,
    }


@pytest.mark.parametrize("field", sorted(logs.SECRET_FIELDS))
def test_secrets_are_masked(field: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(log_format="json", level="info")
    logs.get("api").warning("request.refused", **{field: "s3cret"})
    err = capsys.readouterr().err
    assert "s3cret" not in err
    assert written(err)[0][field] == logs.MASK


def test_what_is_below_the_level_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(log_format="json", level="warning")
    logs.get("api").info("request.done")
    assert capsys.readouterr().err == ""


def test_a_redirected_standard_error_is_written_to_only_while_it_is_redirected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logs.get("turn")
    redirected = io.StringIO()
    with contextlib.redirect_stderr(redirected):
        logs.configure(log_format="json", level="info")
        log.info("first")
    redirected.close()
    log.info("second")
    assert [line["event"] for line in written(capsys.readouterr().err)] == ["second"]


def fail(password: str) -> None:
    raise RuntimeError(f"{len(password)} characters")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_values(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(log_format=log_format, level="info")
    for told in (logs.get("api").exception, logging.getLogger("uvicorn.error").exception):
        try:
            fail("s3cret-word".replace("-", "_"))
        except RuntimeError:
            told("it.failed")
        shown = capsys.readouterr().err
        assert "it.failed" in shown
        assert "RuntimeError: 11 characters" in shown
        assert "s3cret_word" not in shown
