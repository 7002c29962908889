"""Orphans over HTTP: for administrators; a page at a time; each id with its own outcome."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.proxy.agent_client import HostAgent
from app.services import proxy_hosts
from tests.support.api import Api, problem_of
from tests.support.sshd import SshServer

ORPHANS = "/v1/orphans"
REMOVE = f"{ORPHANS}/remove"

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def agent(api: Api, sshd: SshServer) -> AsyncIterator[HostAgent]:
    """On a proxy host of the service's."""
    with tempfile.TemporaryDirectory(prefix="v2v-", dir="/tmp") as work_dir:
        address = sshd.address(Path(work_dir))
        host = await api.host(
            await api.center(),
            port=sshd.port,
            username=address.username,
            private_key=sshd.client_key.get_secret_value(),
            host_key=sshd.host_key,
            work_dir=work_dir,
        )
        async with api.database.reading() as session:
            row = await proxy_hosts.get(session, UUID(host["id"]))
        yield await api.state.proxies.agent(proxy_hosts.host_address(row, api.state.sealer))


async def test_only_administrators_see_and_remove_orphans(api: Api) -> None:
    for client in (api.viewer, api.operator):
        assert problem_of(await client.get(ORPHANS)) == (403, "forbidden")
        answer = await client.post(REMOVE, json={"ids": [str(uuid4())]})
        assert problem_of(answer) == (403, "forbidden")


async def test_without_hosts_there_are_none(api: Api) -> None:
    answer = await api.admin.get(ORPHANS)
    assert answer.json() == {"items": [], "next_cursor": None, "unreachable": []}
    orphan_id = str(uuid4())
    answer = await api.admin.post(REMOVE, json={"ids": [orphan_id]})
    assert answer.json() == {"items": [{"id": orphan_id, "outcome": "gone", "problem": None}]}


async def test_a_host_that_does_not_answer_is_told(api: Api, sshd: SshServer) -> None:
    center = await api.center()
    host = await api.host(center)
    silent = await api.host(center, "proxy-2", host_key=sshd.host_key)
    found = (await api.admin.get(ORPHANS)).json()
    assert {place["proxy_host_id"]: place["problem"]["code"] for place in found["unreachable"]} == {
        host["id"]: "host_key_unverified",
        silent["id"]: "host_unreachable",
    }


async def test_orphans_are_listed_page_by_page_newest_first_and_removed(api: Api, agent: HostAgent) -> None:
    attempt_ids = [str(uuid4()) for _ in range(3)]
    for attempt_id in attempt_ids:
        await agent.create_attempt(UUID(attempt_id), 1)
    first = (await api.admin.get(ORPHANS, params={"limit": 2})).json()
    query = {"limit": 2, "cursor": first["next_cursor"]}
    second = (await api.admin.get(ORPHANS, params=query)).json()
    assert second["next_cursor"] is None
    found = first["items"] + second["items"]
    assert [orphan["attempt_id"] for orphan in found] == sorted(attempt_ids, reverse=True)
    assert {orphan["kind"] for orphan in found} == {"attempt_directory"}
    ids = [orphan["id"] for orphan in found]
    outcomes = (await api.admin.post(REMOVE, json={"ids": ids[:2]})).json()["items"]
    assert [(outcome["id"], outcome["outcome"]) for outcome in outcomes] == [
        (ids[0], "removed"),
        (ids[1], "removed"),
    ]
    left = (await api.admin.get(ORPHANS)).json()["items"]
    assert [orphan["id"] for orphan in left] == ids[2:]


@pytest.mark.parametrize("ids", [[], ["x"], [str(uuid4())] * 101])
async def test_ids_that_are_none_and_too_many_of_them_are_refused(api: Api, ids: list[str]) -> None:
    assert problem_of(await api.admin.post(REMOVE, json={"ids": ids})) == (422, "validation_error")


async def test_a_cursor_that_nobody_gave_is_refused(api: Api) -> None:
    assert problem_of(await api.admin.get(ORPHANS, params={"cursor": "x"})) == (400, "invalid_cursor")
