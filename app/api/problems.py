"""Problem documents (RFC 9457): every failure of a request in one form, and what each route may answer."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app import logs
from app.db import UNAVAILABLE, DatabaseError, ValueRefusedError, is_unavailable
from app.errors import (
    AppError,
    FieldError,
    ForbiddenError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotAcceptableError,
    NotFoundError,
    Problem,
    TooLargeError,
    TooManyError,
    UnauthorizedError,
    UnavailableError,
    UnprocessableError,
    UnsupportedMediaTypeError,
    json_pointer,
    problem_classes,
)

MEDIA_TYPE: Final = "application/problem+json"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
EXAMPLES: Final = "#/components/examples/"
ALWAYS: Final = (InvalidRequestError, UnauthorizedError, ForbiddenError, UnprocessableError)
"""What any operation behind a token may answer."""
BY_STATUS: Final[Mapping[int, type[AppError]]] = {
    kind.status: kind
    for kind in (
        InvalidRequestError,
        UnauthorizedError,
        ForbiddenError,
        NotFoundError,
        MethodNotAllowedError,
        NotAcceptableError,
        TooLargeError,
        UnsupportedMediaTypeError,
        UnprocessableError,
        TooManyError,
        UnavailableError,
    )
}
MALFORMED: Final = frozenset({"json_invalid"})
"""Pydantic's error types that say that the body isn't even JSON."""

Responses = dict[int | str, dict[str, Any]]
"""A route's `responses`, as FastAPI takes them."""

log = logs.get("api")


class DatabaseUnavailableError(UnavailableError):
    code, title = "database_unavailable", "The database can't be reached now"


class ProblemResponse(JSONResponse):
    media_type = MEDIA_TYPE


def problem_response(error: AppError, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    """The error as an answer, with the headers that its status asks for."""
    extra = dict(headers or {})
    if error.retry_after_seconds is not None or error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        extra["Retry-After"] = str(error.retry_after_seconds or 5)
    if error.status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = "Bearer"
    return ProblemResponse(error.to_problem().model_dump(mode="json"), error.status, headers=extra)


def install(app: FastAPI) -> None:
    """Answer every failure of the application with a problem document."""
    app.add_exception_handler(AppError, _app_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    for kind in (*UNAVAILABLE, DatabaseError):
        app.add_exception_handler(kind, _database_error)
    app.add_exception_handler(Exception, _unexpected)


async def _app_error(_: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, AppError)  # noqa: S101  # it is installed for these alone
    return problem_response(error)


async def _validation_error(_: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found = error.errors()
    if any(fault["type"] in MALFORMED for fault in found):
        return problem_response(InvalidRequestError("The body is not well-formed JSON."))
    faults = tuple(_field_error(fault, error.body) for fault in found)
    header = next((fault for fault in faults if fault.pointer.startswith("header:")), None)
    if header is not None:
        return problem_response(InvalidRequestError(f"{header.pointer}: {header.detail}"))
    detail = "; ".join(f"{fault.pointer or 'body'}: {fault.detail}" for fault in faults[:5])
    return problem_response(UnprocessableError(detail, errors=faults))


def _field_error(fault: Mapping[str, Any], body: object) -> FieldError:
    """Faults in the body have a JSON pointer; those elsewhere say where: `query:limit`."""
    where, *path = fault["loc"]
    is_in_body = where == "body"
    pointer = json_pointer(*_in_body(path, body)) if is_in_body else f"{where}:{'/'.join(map(str, path))}"
    return FieldError(pointer=pointer, code=str(fault["type"]), detail=_sentence(str(fault["msg"])))


def _in_body(path: Sequence[Any], body: object) -> list[Any]:
    """The path without what pydantic adds: the kind that it took a member of a union for, and `[key]`."""
    found: list[Any] = []
    for number, part in enumerate(path, start=1):
        is_last = number == len(path)
        members = body if isinstance(body, dict) else dict(enumerate(body)) if isinstance(body, list) else {}
        is_kind = not is_last and (part not in members or members.get("kind") == part)
        if is_kind or (is_last and part == "[key]" and part not in members):
            continue
        body = members.get(part)
        found.append(part)
    return found


def _sentence(text: str) -> str:
    plain = text.removeprefix("Value error, ")
    return plain[:1].upper() + plain[1:]


async def _http_exception(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return problem_response(MethodNotAllowedError(), {"Allow": ", ".join(_allowed(request))})
    kind = BY_STATUS.get(error.status_code, InvalidRequestError)
    detail = None if error.status_code != HTTPStatus.NOT_FOUND else f"There is no {request.url.path[:200]!r}."
    return problem_response(kind(detail), error.headers)


def _allowed(request: Request) -> list[str]:
    """The methods of the path; Starlette tells those of the first of its routes alone."""
    routes, scope = request.app.router.routes, request.scope
    return [
        method
        for method in METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]


async def _database_error(request: Request, error: Exception) -> ProblemResponse:
    if isinstance(error, ValueRefusedError):
        return problem_response(UnprocessableError("A value can't be kept by the database."))
    # What this program asks for isn't there, perhaps: the schema has moved under it just now.
    if (moved := await request.app.state.service.schema.look()) is not None:
        return problem_response(moved)
    if not is_unavailable(error):
        raise error
    log.error("api.database_failed", error=str(error.__cause__ or error))
    return problem_response(DatabaseUnavailableError())


async def _unexpected(request: Request, error: Exception) -> ProblemResponse:
    log.error("api.failed", method=request.method, path=request.url.path, exc_info=error)
    return problem_response(AppError("The service failed; its log says why."))


def problems(*kinds: type[AppError]) -> Responses:
    """A route's `responses`: the problems that it can answer besides those that any route can."""
    return described((*ALWAYS, *kinds))


def described(kinds: Iterable[type[AppError]]) -> Responses:
    told: Responses = {}
    for kind in kinds:
        add_problem(told, kind)
    return told


def add_problem(responses: Responses, kind: type[AppError]) -> None:
    """Tell of one more problem; its example stands among the components."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    told = responses.setdefault(str(kind.status), {"description": "", "content": {}})
    content = told["content"].setdefault(MEDIA_TYPE, {"schema": schema, "examples": {}})
    if kind.code not in content["examples"]:
        content["examples"][kind.code] = {"$ref": f"{EXAMPLES}{kind.code}"}
        told["description"] = "; ".join(filter(None, (told["description"], f"`{kind.code}`: {kind.title}")))


def examples(codes: Collection[str]) -> dict[str, Any]:
    """What `add_problem` refers to."""
    return {
        kind.code: {"value": kind().to_problem().model_dump(mode="json")}
        for kind in problem_classes()
        if kind.code in codes
    }
