"""A stand-in for the service: answers as told over real HTTP, and breaks connections on request."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from app.cli.root import app

Json = dict[str, Any]
IMPORT_ID = "01935b8e-0000-7000-8000-000000000001"
DOMAIN_ID = "01935b8e-0000-7000-8000-000000000002"
CENTER_ID = "01935b8e-0000-7000-8000-000000000003"
HOST_ID = "01935b8e-0000-7000-8000-000000000004"
VM_ID = "01935b8e-0000-7000-8000-000000000005"
DISK_ID = "01935b8e-0000-7000-8000-000000000006"


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    verb: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """`breaks`: the connection ends in the middle of the body, as when a server is killed."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    breaks: bool = False


Answering = Answer | Callable[[Asked], Answer]


class StandIn:
    """Answers the last of the told answers for ever, those before it once each, in order."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[tuple[str, str], list[Answering]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def on(self, verb: str, path: str, *answers: Answering) -> None:
        self._answers[verb, path] = list(answers)

    def bodies(self, verb: str, path: str) -> list[Any]:
        return [asked.body for asked in self.asked if (asked.verb, asked.path) == (verb, path)]

    def headers(self, path: str, name: str) -> list[str | None]:
        return [asked.headers.get(name.lower()) for asked in self.asked if asked.path == path]

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        answers = self._answers.get((asked.verb, asked.path))
        if not answers:
            return problem(404, "not_found", "There is no such resource")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer if isinstance(answer, Answer) else answer(asked)


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            is_json = "json" in headers.get("content-type", "json")
            body = (json.loads(raw) if is_json else raw) if raw else None
            asked = Asked(self.command, parts.path, parse_qs(parts.query), headers, body)
            self._send(stand_in.answer(asked))

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body) + (1 if answer.breaks else 0)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = answer.breaks

        do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815  the names that the base class calls

        def log_message(self, *_: Any) -> None:
            return

    return Handler


def answer(document: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode())


def page(*items: Json) -> Answer:
    return answer({"items": items, "next_cursor": None})


def problem(status: int, code: str, title: str, **more: Any) -> Answer:
    document = {"type": f"/problems/{code}", "title": title, "status": status, "detail": title, "code": code}
    return Answer(status, json.dumps(document | more).encode(), "application/problem+json")


def stream(*frames: bytes, breaks: bool = False) -> Answer:
    return Answer(200, b"".join(frames), "text/event-stream", breaks=breaks)


def frame(event: str, data: Json, cursor: str = "1-1") -> bytes:
    return f"id: {cursor}\nevent: {event}\ndata: {json.dumps(data)}\n\n".encode()


def snapshot(document: Json, cursor: str = "1-0") -> bytes:
    return frame("snapshot", {"imports": [document], "complete": True}, cursor)


def an_import(state: str = "running", **fields: Any) -> Json:
    """An import as the service shows it."""
    return {
        "id": IMPORT_ID,
        "state": state,
        "step": "convert_disks" if state == "running" else None,
        "stage": None,
        "queue": None,
        "spec": {"source": {"kind": "ova", "path": "/srv/web.ova"}, "vm": {"name": "web-1"}},
        "storage_domain_id": DOMAIN_ID,
        "proxy_host_id": None,
        "vm_id": None,
        "attempt": 1,
        "attempts": [],
        "priority": 5,
        "labels": {},
        "progress": progress(),
        "disk_progress": [],
        "warnings": [],
        "problem": None,
        "created_by": "admin",
        "created_at": "2026-11-24T10:00:00Z",
        "started_at": "2026-11-24T10:00:01Z",
        "finished_at": "2026-11-24T10:03:03Z" if state in {"succeeded", "failed", "cancelled"} else None,
        "version": 1,
        **fields,
    }


def progress(percent: float | None = None, rate: float | None = None, eta: float | None = None) -> Json:
    total = 3 * 2**30
    return {
        "percent": percent,
        "bytes_copied": None if percent is None else int(total * percent / 100),
        "bytes_estimated": True,
        "bytes_total": total,
        "bytes_per_second": rate,
        "eta_seconds": eta,
        "stalled_since": None,
    }


def a_disk(number: int, percent: float | None, state: str, label: str = "sda") -> Json:
    capacity = number * 2**30
    return {
        "number": number,
        "label": label,
        "capacity_bytes": capacity,
        "percent": percent,
        "state": state,
        "disk_id": None,
    }


def run(stand_in: StandIn, *arguments: str, stdin: str | None = None) -> Result:
    """The command, in this process, as somebody who has a token."""
    environment = {"V2V_IMPORT_URL": stand_in.url, "V2V_IMPORT_TOKEN": "v2v_secret-token", "COLUMNS": "120"}
    return CliRunner().invoke(app, arguments, env=environment, input=stdin)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server
