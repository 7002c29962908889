"""One request's work: one transaction, the answer kept for its key in it, and what follows the commit."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app import logs
from app.api import tus
from app.api.state import AppState
from app.db import Session
from app.errors import InvalidRequestError, UnavailableError
from app.services import idempotency
from app.services.idempotency import Claim, KeptAnswer

HEADER: Final = "Idempotency-Key"
LONGEST_KEY: Final = 255
UPLOAD_HEADERS: Final = ("upload-length", "upload-metadata")
KEPT_HEADERS: Final = ("content-type", "location", "etag", "upload-offset", "upload-expires")
POLL_SECONDS: Final = 0.1
WAIT_SECONDS: Final = 60.0

P = TypeVar("P")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

log = logs.get("api")


class AfterCommit:
    """What is to follow the commit: wake-ups and events, never part of the transaction."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], Awaitable[object]]] = []

    def add(self, call: Callable[..., Awaitable[object]], *arguments: object) -> None:
        self._calls.append(lambda: call(*arguments))

    async def run(self) -> None:
        """All at once: a Redis that hangs is waited for once. One that fails is logged: the request is done,
        and the sweep makes up for what was lost.
        """
        for result in await asyncio.gather(*(call() for call in self._calls), return_exceptions=True):
            if isinstance(result, Exception):
                log.error("api.after_commit_failed", exc_info=result)


class Work:
    """The session is opened when it is first asked for, and committed by the route."""

    def __init__(self, state: AppState, claim: Claim | None) -> None:
        self.after = AfterCommit()
        self._state = state
        self._claim = claim
        self._stack = AsyncExitStack()
        self._session: Session | None = None

    async def session(self) -> Session:
        """The transaction; with a key, one that others with the same key wait for."""
        if self._session is None:
            self._session = await self._stack.enter_async_context(self._state.database.session())
            if self._claim is not None:
                await idempotency.claim(self._session, self._claim, self._state.sealer)
        return self._session

    async def commit(self, response: Response) -> None:
        """End the transaction well, with the answer kept in it."""
        if self._session is not None and self._claim is not None:
            answer = _to_keep(response)
            await idempotency.keep(self._session, self._claim, answer, self._state.sealer)
        await self._stack.aclose()
        await self.after.run()

    async def roll_back(self, error: BaseException) -> None:
        await self._stack.__aexit__(type(error), error, error.__traceback__)


class ServiceRoute(APIRoute):
    """A route whose work is one transaction, committed before the answer is sent."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        is_transaction = _asks_for(self.dependant, work_session)

        async def handle_request(request: Request) -> Response:
            state: AppState = request.app.state.service
            state.schema.check()
            claim = await _claim_of(request, state)
            if claim is None or is_transaction:
                return await _in_transaction(request, state, claim, handle)
            return await _once(request, state, claim, handle)

        return handle_request


async def work_session(request: Request) -> Session:
    """The dependency that makes a route's work a transaction."""
    work: Work = request.state.work
    return await work.session()


def _asks_for(dependant: Dependant, call: Callable[..., object]) -> bool:
    return any(child.call is call or _asks_for(child, call) for child in dependant.dependencies)


async def _claim_of(request: Request, state: AppState) -> Claim | None:
    """What the idempotency key stands for; None without one. Raises InvalidRequestError."""
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST":
        return None
    if not (key.isascii() and key.isprintable() and 1 <= len(key) <= LONGEST_KEY):
        raise InvalidRequestError(f"{HEADER} has 1 to {LONGEST_KEY} printable ASCII characters.")
    token = await idempotency.token_id(state.database, request.headers.get("Authorization", ""))
    if token is None:
        return None
    body_hash = hashlib.sha256(await _wanted(request)).hexdigest()
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return Claim(token, request.method, path, key, body_hash, state.settings.idempotency_lifetime_seconds)


async def _wanted(request: Request) -> bytes:
    """What tells one request from another: its body; of an upload, which says all that in headers, these."""
    told = "".join(f"\n{name}: {request.headers.get(name)}" for name in UPLOAD_HEADERS)
    is_upload = request.url.path == tus.PATH
    return told.encode() if is_upload else await request.body()


async def _in_transaction(
    request: Request, state: AppState, claim: Claim | None, handle: Handler
) -> Response:
    work = Work(state, claim)
    request.state.work = work
    try:
        response = await handle(request)
        await work.commit(response)
    except KeptAnswer as kept:
        await work.roll_back(kept)
        return _replayed(kept)
    except BaseException as error:
        await work.roll_back(error)
        raise
    return response


async def _once(request: Request, state: AppState, claim: Claim, handle: Handler) -> Response:
    """Work that asks other machines, without a transaction: the key is taken first, the answer kept last."""
    request.state.work = work = Work(state, None)
    try:
        await _take(state, claim)
    except KeptAnswer as kept:
        return _replayed(kept)
    try:
        response = await handle(request)
        async with state.database.session() as session:
            await idempotency.keep(session, claim, _to_keep(response), state.sealer)
    except BaseException:
        async with state.database.session() as session:
            await idempotency.give_up(session, claim)
        raise
    await work.commit(response)
    return response


async def _take(state: AppState, claim: Claim) -> None:
    """Take the key; while another request holds it, wait for its answer. Raises KeptAnswer."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                async with state.database.session() as session:
                    if await idempotency.take(session, claim, state.sealer):
                        return
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        detail = "The first request with this idempotency key still runs."
        raise UnavailableError(detail, retry_after_seconds=5) from error


def _to_keep(response: Response) -> KeptAnswer:
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    return KeptAnswer(response.status_code, headers, bytes(response.body))


def _replayed(kept: KeptAnswer) -> Response:
    return Response(kept.body, kept.status, headers=kept.headers | {"Idempotency-Replayed": "true"})
