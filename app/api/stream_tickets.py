"""Stream tickets: for browsers, whose EventSource can't send an Authorization header."""

from fastapi import APIRouter, Response, status

from app.api.deps import SessionDep, StateDep, ViewerDep
from app.api.problems import problems
from app.api.work import ServiceRoute
from app.models.tokens import StreamTicketCreate, StreamTicketCreated
from app.services import tickets

router = APIRouter(prefix="/v1/stream-tickets", tags=["events"], route_class=ServiceRoute)


@router.post(
    "",
    operation_id="createStreamTicket",
    summary="Get a ticket for an event stream",
    status_code=status.HTTP_201_CREATED,
    responses=problems(),
)
async def create_stream_ticket(
    caller: ViewerDep, body: StreamTicketCreate, session: SessionDep, state: StateDep, response: Response
) -> StreamTicketCreated:
    """The ticket is given back as `?ticket=` of that path alone, any number of times until it expires or
    its token does. A query part of `path` is left out: the ticket is good for every filter of the stream.
    """
    response.headers["Cache-Control"] = "no-store"
    lifetime = state.settings.ticket_lifetime_seconds
    return await tickets.create(session, caller.token_id, body.path, lifetime_seconds=lifetime)
