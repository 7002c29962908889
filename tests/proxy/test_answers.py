"""The agent's answers: results, our errors, and what is neither."""

import json

import pytest
from pydantic import BaseModel

from app.errors import AppError, HostCommandError, NoRoomError
from app.proxy.answers import answer_of, read_as
from app.proxy.base import CommandResult


class Space(BaseModel):
    free_bytes: int


def _result(answer: object) -> CommandResult:
    return CommandResult(("agent", "probe"), 0, json.dumps(answer).encode(), b"")


def test_a_result_is_read_as_what_was_asked_for() -> None:
    assert read_as(Space, answer_of("probe", _result({"result": {"free_bytes": 5}}))).free_bytes == 5


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"code": "no_room", "detail": "There is no room."}, NoRoomError),
        ({"code": "of_a_newer_version", "detail": "New."}, HostCommandError),
        ({"code": ["no", "text"]}, HostCommandError),
        ({}, HostCommandError),
        ([1], HostCommandError),
        ("text", HostCommandError),
        (None, HostCommandError),
    ],
)
def test_what_is_no_result_is_an_error_of_ours(answer: object, kind: type[AppError]) -> None:
    with pytest.raises(kind):
        answer_of("probe", _result(answer))


@pytest.mark.parametrize("result", [None, [], "text", {}, {"free_bytes": "many"}])
def test_a_result_of_another_shape_is_the_host_s_failure(result: object) -> None:
    with pytest.raises(HostCommandError, match="doesn't know"):
        read_as(Space, result)
