"""Idempotency keys: a POST that is sent again is answered as the first time, and done once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import SQLAlchemyError

from app.models.columns import now
from app.models.idempotency import IdempotencyRecord
from app.models.tokens import ApiToken
from tests.support.api import Api, problem_of

KEY = {"Idempotency-Key": "once"}
CENTERS = "/v1/data-centers"


async def sent(api: Api, path: str = CENTERS, **body: Any) -> httpx.Response:
    return await api.admin.post(path, json=body or {"name": "north"}, headers=KEY)


def told(answer: httpx.Response) -> tuple[int, bytes, str | None, str | None]:
    """All of an answer that must come again."""
    return (
        answer.status_code,
        answer.content,
        answer.headers.get("ETag"),
        answer.headers.get("Location"),
    )


async def centers(api: Api) -> int:
    return len((await api.admin.get(CENTERS)).json()["items"])


async def test_the_same_request_is_answered_as_the_first_time(api: Api) -> None:
    first, again = await sent(api), await sent(api)
    assert first.status_code == httpx.codes.CREATED
    assert told(again) == told(first)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await centers(api) == 1


async def test_requests_that_arrive_together_do_one_work(api: Api) -> None:
    answers = await asyncio.gather(*(sent(api) for _ in range(5)))
    assert {told(answer) for answer in answers} == {told(answers[0])}
    assert (answers[0].status_code, await centers(api)) == (201, 1)


async def test_a_proxy_host_that_is_enrolled_twice_at_once_is_enrolled_once(api: Api) -> None:
    body = {
        "data_center_id": await api.center(),
        "name": "proxy-1",
        "address": "127.0.0.1",
        "port": 9,
        "password": "s3cret",
    }
    answers = await asyncio.gather(*(sent(api, "/v1/proxy-hosts", **body) for _ in range(3)))
    assert {told(answer) for answer in answers} == {told(answers[0])}
    assert (answers[0].status_code, answers[0].json()["has_password"]) == (201, True)
    assert len((await api.admin.get("/v1/proxy-hosts")).json()["items"]) == 1


async def test_another_body_with_the_same_key_is_refused(api: Api) -> None:
    await sent(api)
    assert problem_of(await sent(api, name="south")) == (409, "idempotency_key_reused")


async def test_a_failure_is_not_kept(api: Api) -> None:
    await api.center("north")
    assert problem_of(await sent(api)) == (409, "name_in_use")
    await api.admin.patch(f"{CENTERS}/{await first_id(api)}", json={"name": "south"})
    assert (await sent(api)).status_code == httpx.codes.CREATED


async def first_id(api: Api) -> str:
    return str((await api.admin.get(CENTERS)).json()["items"][0]["id"])


async def test_a_failure_of_work_on_other_machines_is_not_kept(api: Api) -> None:
    path = f"/v1/proxy-hosts/{uuid4()}/check"
    for _ in range(2):
        answer = await api.admin.post(path, headers=KEY)
        assert problem_of(answer) == (404, "not_found")
    assert await records(api) == []


async def records(api: Api) -> list[IdempotencyRecord]:
    async with api.database.reading() as session:
        return list((await session.execute(select(IdempotencyRecord))).scalars())


async def test_a_key_belongs_to_its_token_and_its_path(api: Api) -> None:
    await sent(api)
    body = {"name": "north", "role": "admin"}
    made = await sent(api, "/v1/tokens", **body)
    other = api.client(made.json()["token"])
    assert problem_of(await other.post(CENTERS, json={"name": "north"}, headers=KEY)) == (409, "name_in_use")


async def test_what_is_kept_is_sealed(api: Api) -> None:
    made = await sent(api, "/v1/tokens", name="night shift", role="viewer")
    [record] = await records(api)
    assert record.answer is not None
    assert made.json()["token"].encode() not in record.answer
    assert told(await sent(api, "/v1/tokens", name="night shift", role="viewer")) == told(made)


async def test_an_old_key_is_a_new_one(api: Api) -> None:
    await sent(api)
    async with api.database.session() as session:
        long_ago = now() - timedelta(days=2)
        await session.execute(update(IdempotencyRecord).values(created_at=long_ago))
    assert problem_of(await sent(api)) == (409, "name_in_use")


async def test_a_key_without_a_valid_token_is_worth_nothing(api: Api) -> None:
    answer = await api.nobody.post(CENTERS, json={"name": "north"}, headers=KEY)
    assert problem_of(answer) == (401, "unauthorized")
    assert problem_of(await api.viewer.post(CENTERS, json={"name": "north"}, headers=KEY)) == (
        403,
        "forbidden",
    )
    assert await records(api) == []


async def test_an_answer_is_not_repeated_to_a_revoked_token(api: Api) -> None:
    await sent(api)
    async with api.database.session() as session:
        await session.execute(update(ApiToken).values(revoked_at=now()))
    assert problem_of(await sent(api)) == (401, "unauthorized")


DEFERRED = "REFERENCES vms (id) DEFERRABLE INITIALLY DEFERRED"
FAILING_COMMITS = {
    "postgresql": [f"ALTER TABLE data_centers ADD COLUMN owner uuid DEFAULT gen_random_uuid() {DEFERRED}"],
    "sqlite": [
        f"CREATE TABLE owned (id INTEGER {DEFERRED})",
        "CREATE TRIGGER own AFTER INSERT ON data_centers BEGIN INSERT INTO owned VALUES (1); END",
    ],
}
"""Rules that a new data center breaks, and that the database looks at when the transaction ends."""


async def test_a_transaction_that_fails_at_its_commit_is_no_success(api: Api) -> None:
    async with api.database.engine.begin() as connection:
        for statement in FAILING_COMMITS[connection.dialect.name]:
            await connection.execute(text(statement))
    with pytest.raises(SQLAlchemyError):
        await sent(api)
    assert await centers(api) == 0
    assert await records(api) == []
