"""Event streams: server-sent events of all imports, or of one until it ends."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status
from fastapi.responses import StreamingResponse
from fastapi.security import APIKeyQuery
from fastapi.security.http import HTTPAuthorizationCredentials
from pydantic import BeforeValidator
from starlette.types import Receive, Scope, Send

from app.actions.show_imports import snapshot
from app.api.deps import Caller, StateDep, bearer, caller_of, require
from app.api.event_schemas import MEDIA_TYPE, StreamEvents
from app.api.labels import LabelsDep
from app.api.problems import Responses, problems
from app.api.state import AppState
from app.api.work import ServiceRoute
from app.errors import EventsUnavailableError, InvalidCursorError, NotFoundError
from app.events.cursor import Cursor
from app.events.inbox import EventFilter
from app.events.streams import Wish, has_ended, stream
from app.models.events import EventType
from app.models.state import ENDED, Role
from app.services import imports, tickets, tokens
from app.services.imports import ImportFilter

HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Nobody between us and the client may keep events, or hold them back."""

router = APIRouter(prefix="/v1", tags=["events"], route_class=ServiceRoute)
ticket_key = APIKeyQuery(
    name="ticket", auto_error=False, scheme_name="ticket", description="A stream ticket, for this path."
)


class EventStream(StreamingResponse):
    """Bytes as they come. Its generator is closed with it, however it ends."""

    media_type = MEDIA_TYPE

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        super().__init__(chunks, headers=HEADERS)
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._chunks.aclose()


async def _listener(
    request: Request,
    state: StateDep,
    ticket: Annotated[str | None, Depends(ticket_key)],
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller:
    authorization = request.headers.get("Authorization")
    async with state.database.reading() as session:
        if authorization is None and ticket is not None:
            token = await tickets.token_of(session, ticket, request.url.path)
        else:
            token = await tokens.authenticate(session, authorization or "")
    return require(caller_of(token), Role.VIEWER)


def _cursor(
    last_event_id: Annotated[
        str | None,
        Header(alias="Last-Event-ID", description="The `id` of the last event seen; EventSource sends it."),
    ] = None,
    cursor: Annotated[str | None, Query(description="The same, for a new page.")] = None,
) -> Cursor | None:
    text = last_event_id or cursor
    return Cursor.parse(text) if text else None


def _split(given: object) -> object:
    """`types=import,progress` is `types=import&types=progress`."""
    if not isinstance(given, list):
        return given
    return [name for text in given for name in str(text).split(",")]


def _filter(
    labels: LabelsDep,
    types: Annotated[
        list[EventType] | None, Query(description="Only events of these types."), BeforeValidator(_split)
    ] = None,
    import_id: Annotated[
        list[UUID] | None, Query(max_length=1000, description="Only events of these imports.")
    ] = None,
) -> EventFilter:
    return EventFilter(frozenset(types or ()), labels, frozenset(import_id or ()))


ListenerDep = Annotated[Caller, Depends(_listener)]
CursorDep = Annotated[Cursor | None, Depends(_cursor)]
FilterDep = Annotated[EventFilter, Depends(_filter)]


def _responses(*more: type[NotFoundError]) -> Responses:
    told: Responses = {200: {"model": StreamEvents, "description": "The events."}}
    return told | problems(InvalidCursorError, EventsUnavailableError, *more)


@router.get(
    "/events",
    operation_id="streamEvents",
    summary="Follow all imports",
    status_code=status.HTTP_200_OK,
    response_class=EventStream,
    responses=_responses(),
)
async def stream_events(
    caller: ListenerDep, state: StateDep, cursor: CursorDep, wanted: FilterDep
) -> Response:
    """Without a cursor, a `snapshot` of the imports comes first, then what happens. With one, what was
    missed comes first; if that can't be told any more, `resync` and then a `snapshot`.
    """
    shown = ImportFilter(labels=wanted.labels, import_ids=tuple(wanted.import_ids))
    return await _answer(
        state,
        Wish(
            wanted=wanted,
            snapshot=partial(snapshot, state.database, state.events, shown),
            cursor=cursor,
            token_id=caller.token_id,
        ),
    )


@router.get(
    "/imports/{import_id:uuid}/events",
    operation_id="streamImportEvents",
    summary="Follow one import until it ends",
    status_code=status.HTTP_200_OK,
    response_class=EventStream,
    responses=_responses(NotFoundError) | {204: {"description": "The import's end has been told already."}},
)
async def stream_import_events(
    caller: ListenerDep, import_id: UUID, state: StateDep, cursor: CursorDep
) -> Response:
    """As the stream of all imports, for one. It ends by itself after the event with a final state; a
    client that comes back with that event's cursor is answered 204, which makes an EventSource stop.
    """
    async with state.database.reading() as session:
        row = await imports.get(session, import_id)
    shown = ImportFilter(import_ids=(import_id,))
    return await _answer(
        state,
        Wish(
            wanted=EventFilter(import_ids=frozenset({import_id})),
            snapshot=partial(snapshot, state.database, state.events, shown),
            cursor=cursor,
            only=import_id,
            token_id=caller.token_id,
            ended_version=row.version if row.state in ENDED else None,
        ),
    )


async def _answer(state: AppState, wish: Wish) -> Response:
    # All that can be refused is refused here: once a stream has begun, it can only end.
    if await has_ended(state.hub, wish):
        return Response(status_code=status.HTTP_204_NO_CONTENT)
    return EventStream(stream(state.hub, wish))
