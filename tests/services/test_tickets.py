"""Stream tickets: good for one path, as long as they and their token live."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.db import Database
from app.errors import UnauthorizedError, UnprocessableError
from app.models.columns import now
from app.models.tokens import ApiToken, StreamTicket, StreamTicketCreated
from app.services import tickets
from tests.support.records import add_token

PATH = f"/v1/imports/{UUID(int=1)}/events"


async def given(database: Database, path: str = PATH, *, lifetime_seconds: float = 60) -> StreamTicketCreated:
    async with database.session() as session:
        token = (await session.execute(select(ApiToken))).scalar_one_or_none() or await add_token(session)
        return await tickets.create(session, token.id, path, lifetime_seconds=lifetime_seconds)


async def token_of(database: Database, ticket: str, path: str = PATH) -> ApiToken:
    async with database.reading() as session:
        return await tickets.token_of(session, ticket, path)


async def test_a_ticket_stands_for_its_token_on_its_path_again_and_again(database: Database) -> None:
    made = await given(database)
    for _ in range(2):
        assert (await token_of(database, made.ticket)).role == "admin"


async def test_a_ticket_is_of_no_use_on_another_path(database: Database) -> None:
    made = await given(database)
    with pytest.raises(UnauthorizedError, match="another path"):
        await token_of(database, made.ticket, "/v1/events")


async def test_only_a_hash_of_the_ticket_is_stored(database: Database) -> None:
    made = await given(database)
    async with database.reading() as session:
        saved = (await session.execute(select(StreamTicket))).scalar_one()
    assert made.ticket not in str(saved.model_dump())


async def test_the_query_part_of_a_path_does_not_matter(database: Database) -> None:
    made = await given(database, "/v1/events?label=team:a")
    assert await token_of(database, made.ticket, "/v1/events")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/imports",
        "/v1/tokens",
        "/v1/imports/x/events",
        "/v1/events/",
        "v1/events",
        "http://elsewhere/v1/events",
        f"{PATH}\n",
        f"/v1/imports/{UUID(int=1)}/../../tokens",
    ],
)
async def test_a_path_that_is_no_stream_gets_no_ticket(database: Database, path: str) -> None:
    with pytest.raises(UnprocessableError) as refused:
        await given(database, path)
    assert refused.value.errors[0].pointer == "/path"


async def test_a_ticket_ends_with_its_lifetime(database: Database) -> None:
    made = await given(database, lifetime_seconds=0)
    with pytest.raises(UnauthorizedError, match="ended"):
        await token_of(database, made.ticket)


async def test_a_ticket_ends_with_its_token(database: Database) -> None:
    expires_at = now() + timedelta(seconds=30)
    async with database.session() as session:
        await add_token(session, expires_at=expires_at)
    made = await given(database, lifetime_seconds=3600)
    assert made.expires_at == expires_at
    async with database.session() as session:
        (await session.execute(select(ApiToken))).scalar_one().revoked_at = now()
    with pytest.raises(UnauthorizedError, match="ended"):
        await token_of(database, made.ticket)


async def test_tokens_that_are_good_no_longer_are_told(database: Database) -> None:
    async with database.session() as session:
        good = await add_token(session, "a", expires_at=now() + timedelta(seconds=60))
        late = await add_token(session, "b", expires_at=now())
        revoked = await add_token(session, "c", revoked_at=now())
    gone = uuid4()
    async with database.reading() as session:
        ended = await tickets.ended_tokens(session, {good.id, late.id, revoked.id, gone})
    assert ended == {late.id, revoked.id, gone}


async def test_an_unknown_ticket_is_refused(database: Database) -> None:
    with pytest.raises(UnauthorizedError, match="no such"):
        await token_of(database, "v2vs_guess")


async def test_ended_tickets_do_not_pile_up(database: Database) -> None:
    for _ in range(3):
        await given(database, lifetime_seconds=0)
    async with database.reading() as session:
        assert len((await session.execute(select(StreamTicket))).all()) == 1
