"""Tokens over HTTP: shown once, worth what their role is, and nothing once they ended."""

from datetime import timedelta

from app.models.columns import now
from tests.support.api import Api, problem_of

TOKENS = "/v1/tokens"


async def test_a_token_is_shown_once(api: Api) -> None:
    made = await api.admin.post(TOKENS, json={"name": "night shift", "role": "operator"})
    shown = made.json()
    token = shown.pop("token")
    read = await api.admin.get(made.headers["Location"])
    assert (made.status_code, read.json()) == (201, shown)
    listed = await api.admin.get(TOKENS)
    assert shown in listed.json()["items"]
    assert token not in read.text + listed.text
    assert (await api.client(token).get("/v1/data-centers")).status_code == 200


async def test_a_revoked_token_opens_nothing_and_its_record_stays(api: Api) -> None:
    made = await api.made(TOKENS, name="x", role="viewer")
    client, path = api.client(made["token"]), f"{TOKENS}/{made['id']}"
    for _ in range(2):
        assert (await api.admin.delete(path)).status_code == 204
        assert problem_of(await client.get("/v1/data-centers")) == (401, "unauthorized")
    read = await api.admin.get(path)
    assert (read.json()["revoked_at"] is not None, read.headers["ETag"]) == (True, '"2"')


async def test_a_token_ends_when_it_was_said_to(api: Api) -> None:
    for age, status in ((timedelta(minutes=-1), 401), (timedelta(minutes=1), 200)):
        expires_at = (now() + age).isoformat()
        made = await api.made(TOKENS, name="x", role="viewer", expires_at=expires_at)
        assert (await api.client(made["token"]).get("/v1/data-centers")).status_code == status


async def test_a_role_that_there_is_not_is_refused(api: Api) -> None:
    answer = await api.admin.post(TOKENS, json={"name": "x", "role": "root"})
    assert problem_of(answer) == (422, "validation_error")
