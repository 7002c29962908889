"""Pure ASGI middleware: a bound for bodies, JSON only, and a log line for each request."""

import time
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import logs
from app.api.problems import problem_response
from app.api.tus import is_upload_stream
from app.errors import AppError, InvalidRequestError, TooLargeError, UnsupportedMediaTypeError

WITH_BODY: Final = frozenset({"POST", "PATCH", "PUT"})
LONGEST_LENGTH: Final = 20
"""Digits of a Content-Length."""

log = logs.get("api")


class BodyLimit:
    """Refuses a body that is longer than the limit, or of another type than JSON, before it is read.

    The bytes of an upload pass: they go on as they come, and have limits of their own.
    """

    def __init__(self, app: ASGIApp, *, limit_bytes: int) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in WITH_BODY or is_upload_stream(scope):
            await self._app(scope, receive, send)
            return
        body, refusal = await self._read(Headers(scope=scope), receive)
        if refusal is not None:
            await problem_response(refusal)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, headers: Headers, receive: Receive) -> tuple[bytes, AppError | None]:
        announced = headers.get("content-length", "0")
        if not (announced.isascii() and announced.isdigit() and len(announced) <= LONGEST_LENGTH):
            return b"", InvalidRequestError("Content-Length is no number.")
        if int(announced) > self._limit_bytes:
            return b"", self._too_large()
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b"", InvalidRequestError("The client went away.")
            body += message.get("body", b"")
            if len(body) > self._limit_bytes:
                return b"", self._too_large()
            if not message.get("more_body", False):
                return bytes(body), _wrong_type(headers, bool(body))

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"A body may have {self._limit_bytes} bytes.")


def _wrong_type(headers: Headers, has_body: bool) -> AppError | None:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    if is_json or not has_body:
        return None
    return UnsupportedMediaTypeError(f"The body is {media_type or 'untyped'!r}.")


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive channel that gives the body that was read, then whatever comes."""
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


class AccessLog:
    """One line a request. Query strings are left out: they may hold tickets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            took = round(time.monotonic() - began, 3)
            tell = log.debug if scope["path"] in {"/healthz", "/readyz", "/metrics"} else log.info
            tell("api.request", method=scope["method"], path=scope["path"], status=status, took_seconds=took)
