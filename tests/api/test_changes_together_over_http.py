"""Changes that come together are made one after the other: none is lost, none slips past an If-Match."""

import asyncio
from uuid import UUID

from app.models.proxy_hosts import HostState, HostStatus
from app.services import proxy_hosts
from tests.support.api import Api, problem_of


async def test_of_two_changes_of_one_version_one_is_made(api: Api) -> None:
    path = f"/v1/data-centers/{await api.center()}"
    answers = await asyncio.gather(
        *(
            api.admin.patch(path, json={"description": text}, headers={"If-Match": '"1"'})
            for text in ("a", "b", "c")
        )
    )
    refused = [answer for answer in answers if answer.status_code != 200]
    assert [problem_of(answer) for answer in refused] == [(412, "precondition_failed")] * 2


async def test_a_probe_and_a_change_both_count(api: Api) -> None:
    host = await api.host(await api.center())
    host_id = UUID(host["id"])
    before = int((await api.admin.get(f"/v1/proxy-hosts/{host_id}")).headers["ETag"].strip('"'))

    async def probed(state: HostState) -> None:
        async with api.database.session() as session:
            await proxy_hosts.save_status(session, host_id, HostStatus(state=state))

    await asyncio.gather(
        probed(HostState.UP),
        api.admin.patch(f"/v1/proxy-hosts/{host_id}", json={"source_roots": ["/a"]}),
        probed(HostState.UNUSABLE),
    )
    after = await api.admin.get(f"/v1/proxy-hosts/{host_id}")
    assert (after.headers["ETag"], after.json()["source_roots"]) == (f'"{before + 3}"', ["/a"])


async def test_a_data_center_is_not_removed_from_under_what_is_made_in_it(api: Api) -> None:
    center = await api.center()
    made, removed = await asyncio.gather(
        api.admin.post(
            "/v1/storage-domains",
            json={"data_center_id": center, "name": "s", "kind": "null", "settings": {}},
        ),
        api.admin.delete(f"/v1/data-centers/{center}"),
    )
    assert (made.status_code, removed.status_code) in {(201, 409), (422, 204)}
