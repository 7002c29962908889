"""Programs that ask providers: whatever they do, the question ends, and nothing of them stays."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvloop
from pydantic import SecretStr

from app.actions.ask_child import ERRORS, Children
from app.children.answering import Code
from app.errors import (
    ProviderAuthenticationError,
    ProviderBusyError,
    ProviderCertificateError,
    ProviderError,
    ProviderReaderError,
    ProviderTimeoutError,
)
from tests.support.programs import PROGRAMS
from tests.support.waiting import until

SECRET = SecretStr("s3cret word")


async def ask(does: str, *, seconds: float = 60, **more: Any) -> Any:
    request = {"does": does, "password": SECRET.get_secret_value(), **more}
    return await Children(package=PROGRAMS).ask("odd", request, seconds=seconds, secrets=[SECRET])


async def test_the_answer_is_what_it_says() -> None:
    assert await ask("says", says=json.dumps({"ok": {"name": "wéb"}})) == {"name": "wéb"}


async def test_secrets_are_on_standard_input_alone() -> None:
    told = json.dumps(await ask("tells"))
    assert "s3cret" not in told


async def test_variables_of_the_service_stay_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("V2V_IMPORT_DATABASE_URL", "postgresql://user:s3cret@db/v2v")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    environment = (await ask("tells"))["environment"]
    assert {"V2V_IMPORT_DATABASE_URL", "HTTPS_PROXY"} & environment.keys() == set()


@pytest.fixture
def logs_all() -> Iterator[None]:
    """Whatever another test has configured."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("logs_all")
async def test_one_that_dies_is_told_and_its_words_are_logged_without_secrets() -> None:
    with structlog.testing.capture_logs() as lines, pytest.raises(ProviderReaderError, match="ended with 3"):
        await ask("dies")
    [line] = [line for line in lines if line["event"] == "children.died"]
    assert line["said"].strip() == "the secret is ***"


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_one_that_is_gone_before_it_is_asked_is_told(
    monkeypatch: pytest.MonkeyPatch, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    start = asyncio.create_subprocess_exec

    async def start_and_lose(*words: str, **options: Any) -> asyncio.subprocess.Process:
        process = await start(*words, **options)
        process.kill()
        await process.wait()
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_and_lose)
    with (
        asyncio.Runner(loop_factory=new_loop) as runner,
        pytest.raises(ProviderReaderError, match="ended with -9"),
    ):
        runner.run(ask("tells"))


@pytest.mark.parametrize(
    "says", ["", "garbage", "[]", "null", '{"ok": 1}', '{"error": {"code": 7}}', "{" * 9999]
)
async def test_what_is_no_answer_is_told(says: str) -> None:
    with pytest.raises(ProviderReaderError, match="no answer that can be read"):
        await ask("says", says=says)


async def test_one_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with pytest.raises(ProviderTimeoutError, match="within 3 s"):
        await ask("hangs", seconds=3, note=str(note))
    pids = note.read_text().split() if note.exists() else []
    await until(lambda: not any(_is_alive(pid) for pid in pids))


def _is_alive(pid: str) -> bool:
    """A zombie, whose parent is gone, too, waits for init only."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_one_that_never_stops_talking_is_ended() -> None:
    children = Children(package=PROGRAMS, longest_answer=2**20)
    with pytest.raises(ProviderReaderError, match="too much"):
        await children.ask("odd", {"does": "floods"}, seconds=60)


async def test_so_many_are_asked_at_once() -> None:
    children = Children(at_once=1, package=PROGRAMS)
    async with children._slot(60):
        with pytest.raises(ProviderBusyError):
            await children.ask("odd", {"does": "says"}, seconds=0.01)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("authentication_failed", ProviderAuthenticationError),
        ("certificate_untrusted", ProviderCertificateError),
        ("of_a_newer_version", ProviderError),
    ],
)
async def test_its_codes_are_errors_of_ours(code: str, kind: type[ProviderError]) -> None:
    error = {"code": code, "detail": "It said no.", "offered_thumbprint": "AA:BB"}
    with pytest.raises(kind, match="It said no") as raised:
        await ask("says", says=json.dumps({"error": error}))
    assert raised.value.offered_thumbprint == "AA:BB"


def test_each_code_has_its_error() -> None:
    assert set(ERRORS) == set(Code)
