"""Speaks HTTP with the service: one method a verb, problems as exceptions."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn
from uuid import UUID, uuid4

import httpx

from app.cli.output import Json

ANSWER_SECONDS = 60
SILENCE_SECONDS = 45
"""A stream sends a comment every 15 s; one that is silent for longer is dead."""
PAGE = 1000
TRIES = 3
"""A POST carries an idempotency key, so one whose answer got lost is sent again."""

AGAIN = frozenset({423, 429, 460, 502, 503, 504})
"""Statuses of an upload that a moment, or sending the same bytes once more, may mend."""

Query = Mapping[str, str | int | list[str]]


class ProblemError(Exception):
    """The service refused, or could not be reached; `document` is a problem document."""

    def __init__(self, document: Json) -> None:
        super().__init__(document.get("detail") or document.get("title"))
        self.document = document
        self.status = document.get("status")
        self.code = document.get("code")


class LostError(Exception):
    """The connection broke, or the service asks to come again; what was begun may go on."""


def local_problem(code: str, title: str, detail: str, hint: str | None = None) -> ProblemError:
    """A problem that this command found itself, in the same form."""
    return ProblemError(
        {"type": "about:blank", "title": title, "detail": detail, "code": code, "hint": hint, "errors": []}
    )


class Service:
    """The service at one URL, as the bearer of one token."""

    def __init__(self, url: str, token: str, *, is_local: bool) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=ANSWER_SECONDS,
            # A proxy from the environment would carry the token of this machine's service elsewhere.
            trust_env=not is_local,
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, query: Query | None = None) -> Json:
        return _document(self._answer("GET", path, params=dict(query or {})))

    def post(self, path: str, body: Json | None = None) -> Json:
        return self._repeated("POST", path, body if body is not None else {})

    def delete(self, path: str) -> None:
        _document(self._answer("DELETE", path))

    def transfer(self, verb: str, path: str, headers: Mapping[str, str], data: bytes = b"") -> httpx.Response:
        """A request of the upload protocol. Raises LostError when it may be sent again, ProblemError."""
        try:
            response = self._http.request(verb, path, headers=dict(headers), content=data)
        except httpx.TransportError as error:
            raise LostError(str(error) or type(error).__name__) from error
        if response.status_code in AGAIN:
            raise LostError(str(problem_of(response).get("detail")))
        if not response.is_success:
            _raise_problem(response)
        return response

    def patch(self, path: str, body: Json) -> Json:
        return _document(self._answer("PATCH", path, json=body))

    def raw(self, path: str, query: Query, headers: Mapping[str, str]) -> httpx.Response:
        """The answer itself, whatever its status."""
        return self._answer("GET", path, params=dict(query), headers=dict(headers))

    def items(self, path: str, query: Query | None = None, *, limit: int | None = None) -> list[Json]:
        """A whole list, page after page; at most `limit` of it."""
        found: list[Json] = []
        cursor: str | None = None
        while True:
            wanted = PAGE if limit is None else min(PAGE, limit - len(found))
            more = {"cursor": cursor} if cursor else {}
            page = self.get(path, {**(query or {}), "limit": wanted, **more})
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None or (limit is not None and len(found) >= limit):
                return found

    def find(self, path: str, name_or_id: str, *, center: str | None = None) -> Json:
        """The resource with this id or name (of one data center, when given); a name must fit only one."""
        if is_id(name_or_id):
            return self.get(f"{path}/{name_or_id}")
        named = [
            item
            for item in self.items(path)
            if item["name"] == name_or_id and center in {None, item.get("data_center_id")}
        ]
        if len(named) == 1:
            return named[0]
        what = path.rsplit("/", 1)[-1].replace("-", " ")
        if named:
            ids = ", ".join(item["id"] for item in named)
            detail = f"{name_or_id!r} names the {what} {ids}."
            raise local_problem("ambiguous_name", "The name fits several", detail, "Give the id.")
        raise local_problem(
            "not_found",
            "There is no such resource",
            f"None of the {what} is named {name_or_id!r}.",
            f"`v2v-import {path.rsplit('/', 1)[-1]} list` shows the names.",
        )

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """An open event stream. Raises LostError when it breaks, ProblemError when it is refused."""
        timeout = httpx.Timeout(ANSWER_SECONDS, read=SILENCE_SECONDS)
        try:
            with self._http.stream("GET", path, headers=dict(headers), timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    _raise_problem(response)
                yield response
        except httpx.TransportError as error:
            raise LostError(str(error) or type(error).__name__) from error
        except ProblemError as problem:
            if problem.status in {429, 502, 503, 504}:
                raise LostError(str(problem)) from problem
            raise

    def _repeated(self, verb: str, path: str, body: Json) -> Json:
        headers = {"Idempotency-Key": uuid4().hex}
        for _ in range(TRIES - 1):
            try:
                return _document(self._http.request(verb, path, json=body, headers=headers))
            except (httpx.ReadError, httpx.RemoteProtocolError):
                continue
            except httpx.TransportError as error:
                raise self._unreachable(error) from error
        return _document(self._answer(verb, path, json=body, headers=headers))

    def _answer(self, verb: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(verb, path, **options)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx.TransportError) -> ProblemError:
        return local_problem(
            "service_unreachable",
            "The service can't be reached",
            f"{self.url}: {str(error) or type(error).__name__}",
            "Is it running (`v2v-import up`)? `--url` or V2V_IMPORT_URL says where.",
        )


def is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _document(response: httpx.Response) -> Json:
    if not response.is_success:
        _raise_problem(response)
    if not response.content:
        return {}
    document: Json = response.json()
    return document


def _raise_problem(response: httpx.Response) -> NoReturn:
    raise ProblemError(problem_of(response))


def problem_of(response: httpx.Response) -> Json:
    """The problem document of an answer; made up where something else answered, such as a gateway."""
    try:
        document = json.loads(response.content)
    except ValueError:
        document = None
    if isinstance(document, dict) and "title" in document:
        return document
    return {
        "type": "about:blank",
        "title": "The answer is not the service's",
        "detail": f"{response.request.url} answered {response.status_code} {response.reason_phrase}.",
        "status": response.status_code,
        "code": "unexpected_answer",
        "hint": "Check the URL: does v2v-import-service listen there?",
        "errors": [],
    }
