"""The whole service as its users run it: `v2v-import up`, and a proxy host with a real sshd."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.children import children_running
from tests.support.sshd import SshServer, free_port, ssh_server

READY_SECONDS = 60
STOP_SECONDS = 20
ENDED = frozenset({"succeeded", "failed", "cancelled"})
STAND_IN = Path(__file__).with_name("virt_v2v_stand_in.py")


@dataclass
class Service:
    """`v2v-import up`, its HTTP API, and the worker that can be killed."""

    data_dir: Path
    environment: Mapping[str, str]
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None
    _client: httpx.Client | None = None

    def start(self) -> None:
        log = (self.data_dir.parent / "up.log").open("ab")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "app.cli",
                "up",
                "--data-dir",
                str(self.data_dir),
                "--port",
                str(self.port),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **self.environment},
        )
        log.close()
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)
        token = (self.data_dir / "admin-token").read_text().strip()
        self._client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )

    def stop(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise
            self._process = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> httpx.Client:
        assert self._client is not None
        return self._client

    def log(self) -> str:
        return (self.data_dir.parent / "up.log").read_text(errors="replace")

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz?strict=1", timeout=2, trust_env=False).is_success
        return False

    def child(self, name: str) -> int:
        """The process id of the `api` or `worker` that `up` runs now."""
        assert self._process is not None
        [found] = children_running(self._process.pid, name)
        return found

    def kill_worker(self) -> None:
        """As the kernel's out-of-memory killer would; `up` starts another one."""
        os.kill(self.child("worker"), signal.SIGKILL)

    @contextmanager
    def beside(self, *command: str) -> Iterator[None]:
        """Another program of the service (`api --port …`, `worker`) on the same data."""
        with (self.data_dir.parent / "beside.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", *command, "--data-dir", str(self.data_dir)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)

    # --- the API, for short ---

    def get(self, path: str, **query: str) -> Any:
        answer = self.client.get(path, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, *, status: int | None = None) -> Any:
        answer = self.client.post(path, json=body if body is not None else {})
        assert answer.status_code == status if status else answer.is_success, answer.text
        return answer.json()

    def wait(self, import_id: str, *states: str, seconds: float = 60) -> Any:
        """The import once it is in one of the states (ended, if none is named)."""
        return self.wait_for(import_id, lambda found: found["state"] in (states or ENDED), seconds=seconds)

    def wait_for(self, import_id: str, condition: Any, *, seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while not condition(found := self.get(f"/v1/imports/{import_id}")):
            assert time.monotonic() < deadline, json.dumps(found, indent=1) + self.log()[-5000:]
            time.sleep(0.1)
        return found


@dataclass
class Place:
    """A service with a data center, a proxy host and places to import from and to."""

    service: Service
    sshd: SshServer
    work_dir: Path
    sources: Path
    program_dir: Path
    data_center_id: str
    proxy_host_id: str

    def domain(self, name: str, kind: str, path: Path | None) -> str:
        """The id of a new storage domain."""
        body = {
            "data_center_id": self.data_center_id,
            "name": name,
            "kind": kind,
            "settings": {"path": str(path)} if path else {},
        }
        made: str = self.service.post("/v1/storage-domains", body, status=201)["id"]
        return made

    def control(self, **values: object) -> None:
        """What the stand-in does from now on."""
        (self.program_dir / "control.json").write_text(json.dumps(values))

    def starts(self) -> list[int]:
        """The process ids of all stand-ins that were started."""
        file = self.program_dir / "starts"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def left_behind(self) -> list[str]:
        """What lies in the host's work directory and belongs to some attempt."""
        kept = ("attempts", "t")
        return [str(path) for name in kept for path in (self.work_dir / name).glob("*")]


@contextmanager
def running_place(
    directory: Path,
    *,
    environment: Mapping[str, str],
    virt_v2v_path: str | None = None,
    host: Mapping[str, Any] | None = None,
    path: str | None = None,
) -> Iterator[Place]:
    """The service and a proxy host. Without `virt_v2v_path`, its virt-v2v is the stand-in.

    `path` is the host's PATH.
    """
    sources, program_dir, work_dir = directory / "sources", directory / "program", directory / "work"
    for made in (sources, program_dir):
        made.mkdir()
    program = program_dir / "virt-v2v"
    program.write_text(f'#!/bin/sh\nV2V_STAND_IN_DIR={program_dir} exec {sys.executable} {STAND_IN} "$@"\n')
    program.chmod(0o755)
    with ssh_server(path=path) as sshd:
        service = Service(directory / "data", environment)
        service.start()
        try:
            center = service.post("/v1/data-centers", {"name": "north"}, status=201)["id"]
            body = {
                "data_center_id": center,
                "name": "proxy-1",
                "address": "127.0.0.1",
                "port": sshd.port,
                "private_key": sshd.client_key.get_secret_value(),
                "host_key": sshd.host_key,
                "work_dir": str(work_dir),
                "source_roots": [str(sources)],
                "virt_v2v_path": virt_v2v_path or str(program),
                **(host or {}),
            }
            found = service.post("/v1/proxy-hosts", body, status=201)
            assert found["status"]["state"] == "up", found
            yield Place(service, sshd, work_dir, sources, program_dir, center, found["id"])
        finally:
            service.stop()
