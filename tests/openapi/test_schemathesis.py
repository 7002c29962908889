"""Schemathesis against the real API with a real database and Redis: all of its checks, on every operation."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.redis import RedisServer
from tests.support.sshd import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CLI = (sys.executable, "-m", "app.cli")
START_SECONDS = 60
ENDLESS = ("streamEvents", "streamImportEvents")


@dataclass(frozen=True)
class Served:
    url: str
    token: str


@pytest.fixture
def served(tmp_path: Path, redis_server: RedisServer) -> Iterator[Served]:
    """The API as a process of its own, with nobody who works on imports and no proxy host within reach."""
    port = free_port()
    environment = {
        **os.environ,
        "V2V_IMPORT_DATA_DIR": str(tmp_path),
        "V2V_IMPORT_REDIS_URL": redis_server.url,
        "V2V_IMPORT_PORT": str(port),
        "V2V_IMPORT_LOG_LEVEL": "warning",
    }
    ran("migrate", environment=environment)
    token = ran("token", "create", "--role", "admin", "schemathesis", environment=environment).strip()
    with (tmp_path / "api.log").open("wb") as log:
        process = subprocess.Popen([*CLI, "api"], cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(process, f"{url}/readyz")
        yield Served(url, token)
    finally:
        process.terminate()
        process.wait(20)


def ran(*arguments: str, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [*CLI, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def wait_for(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        try:
            if httpx.get(url).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)


@pytest.mark.timeout(400)
def test_every_operation_keeps_what_the_document_promises(served: Served, tmp_path: Path) -> None:
    options = [
        *("--config-file", str(HERE / "schemathesis.toml"), "run", f"{served.url}/openapi.json"),
        *("--header", f"Authorization: Bearer {served.token}", "--checks", "all"),
        *("--seed", "1", "--max-examples", "4", "--workers", "1", "--generation-database", "none"),
        *("--request-timeout", "30", "--continue-on-failure", "--no-color"),
        *(word for name in ENDLESS for word in ("--exclude-operation-id", name)),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("schemathesis")), *options],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=380,
    )
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "api.log").read_text()
