"""Event streams over HTTP: who may follow what, from where, and until when."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import httpx
import pytest

from app.models.columns import now
from app.models.data_centers import DataCenter
from app.models.events import ProgressEvent
from app.models.imports import VmImport
from app.models.progress import Progress
from app.models.state import ImportState
from app.models.storage_domains import StorageDomain
from app.services import tokens
from app.settings import Settings
from tests.support.records import add_import
from tests.support.redis import RedisServer
from tests.support.rows import data_center, storage_domain
from tests.support.running_api import RunningApi, run_api
from tests.support.waiting import until


@pytest.fixture
async def domain(live_api: RunningApi) -> StorageDomain:
    async with live_api.database.session() as session:
        center: DataCenter = await data_center(session)
        return await storage_domain(session, center.id)


@pytest.fixture
async def row(live_api: RunningApi, domain: StorageDomain) -> VmImport:
    """An import that runs, of which clients were told."""
    async with live_api.database.session() as session:
        made = await add_import(session, domain, state=ImportState.RUNNING, labels={"team": "a"})
    await live_api.change(made)
    return made


async def test_an_import_is_followed_from_a_snapshot_to_its_end(live_api: RunningApi, row: VmImport) -> None:
    path = f"/v1/imports/{row.id}/events"
    listener = await live_api.listen(path)
    snapshot = await listener.next()
    shown = (await live_api.admin.get(f"/v1/imports/{row.id}")).json()
    assert (snapshot.name, snapshot.data) == ("snapshot", {"imports": [shown], "complete": True})
    await live_api.change(row, step="convert_disks")
    await live_api.change(row, state=ImportState.FAILED)
    told = await listener.rest()
    assert [(event.name, event.data["state"]) for event in told] == [
        ("import", "running"),
        ("import", "failed"),
    ]
    again = await live_api.admin.get(path, headers={"Last-Event-ID": told[-1].id})
    assert again.status_code == httpx.codes.NO_CONTENT


async def test_the_header_wins_over_the_cursor_in_the_url(live_api: RunningApi, row: VmImport) -> None:
    listener = await live_api.listen("/v1/events")
    first = (await listener.next()).id
    await live_api.change(row)
    second = (await listener.next()).id
    await live_api.change(row)
    listener = await live_api.listen(f"/v1/events?cursor={first}", **{"Last-Event-ID": second})
    assert (await listener.next()).data["version"] == 4
    listener = await live_api.listen(f"/v1/events?cursor={first}")
    assert (await listener.next()).data["version"] == 3


async def test_streams_are_filtered(live_api: RunningApi, row: VmImport, domain: StorageDomain) -> None:
    async with live_api.database.session() as session:
        other = await add_import(session, domain, labels={"team": "b"})
    listeners = [
        await live_api.listen("/v1/events?label=team:b"),
        await live_api.listen(f"/v1/events?import_id={other.id}&import_id={uuid4()}"),
    ]
    for listener in listeners:
        assert [one["id"] for one in (await listener.next()).data["imports"]] == [str(other.id)]
    await live_api.change(row)
    await live_api.change(other)
    for listener in listeners:
        assert (await listener.next()).data["id"] == str(other.id)


@pytest.mark.parametrize("query", ["types=import&types=message", "types=import,message"])
async def test_types_are_chosen(live_api: RunningApi, row: VmImport, query: str) -> None:
    listener = await live_api.listen(f"/v1/events?{query}")
    await listener.next()
    progress = ProgressEvent(
        import_id=row.id, attempt=1, seq=9, at=now(), progress=Progress(), disk_progress=()
    )
    await live_api.state.events.publish_progress(progress, labels={})
    await live_api.change(row)
    assert (await listener.next()).name == "import"


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        (f"/v1/imports/{UUID(int=1)}/events", {}, 404, "not_found"),
        ("/v1/imports/x/events", {}, 404, "not_found"),
        ("/v1/events", {"Authorization": "Bearer x"}, 401, "unauthorized"),
        ("/v1/events?ticket=x", {"Authorization": ""}, 401, "unauthorized"),
        ("/v1/events?cursor=x", {}, 400, "invalid_cursor"),
        ("/v1/events", {"Last-Event-ID": "x"}, 400, "invalid_cursor"),
        ("/v1/events?types=snapshot", {}, 422, "validation_error"),
        ("/v1/events?label=team", {}, 422, "validation_error"),
    ],
)
async def test_what_is_refused_is_refused_before_the_stream_begins(
    live_api: RunningApi, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await live_api.admin.get(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_ticket_opens_its_stream_again_and_again(live_api: RunningApi, row: VmImport) -> None:
    path = f"/v1/imports/{row.id}/events"
    async with live_api.client("viewer") as viewer, live_api.client(None) as anyone:
        made = (await viewer.post("/v1/stream-tickets", json={"path": path})).json()
        for _ in range(2):
            listener = await live_api.listen(f"{path}?ticket={made['ticket']}", client=anyone)
            assert (await listener.next()).name == "snapshot"
        elsewhere = await anyone.get(f"/v1/events?ticket={made['ticket']}")
        assert elsewhere.status_code == httpx.codes.UNAUTHORIZED


async def test_a_ticket_for_what_is_no_stream_is_refused(live_api: RunningApi) -> None:
    answer = await live_api.admin.post("/v1/stream-tickets", json={"path": "/v1/imports"})
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.json()["errors"][0]["pointer"] == "/path"


async def test_without_redis_streams_are_refused_for_a_moment(
    live_api: RunningApi, redis_server: RedisServer
) -> None:
    redis_server.stop()
    await until(lambda: not live_api.state.hub.is_reading)
    answer = await live_api.admin.get("/v1/events")
    assert (answer.status_code, answer.json()["code"]) == (503, "events_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


async def test_clients_that_leave_leave_nothing_behind(live_api: RunningApi, row: VmImport) -> None:
    async def come_and_go() -> None:
        async with live_api.client("viewer") as client, client.stream("GET", "/v1/events") as response:
            await anext(response.aiter_bytes())

    publishing = asyncio.create_task(_publish(live_api, row))
    await asyncio.gather(*(come_and_go() for _ in range(50)))
    publishing.cancel()
    await until(lambda: live_api.state.hub.client_count == 0)


async def _publish(live_api: RunningApi, row: VmImport) -> None:
    while True:
        await live_api.change(row)


async def test_two_hundred_clients_are_told_at_once(live_api: RunningApi, row: VmImport) -> None:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=live_api.url, headers={"Authorization": "Bearer viewer"}, limits=limits, timeout=20
    ) as client:
        listeners = [await live_api.listen("/v1/events", client=client) for _ in range(200)]
        for listener in listeners:
            assert (await listener.next()).name == "snapshot"
        began = time.monotonic()
        await live_api.change(row, stage="copying")
        for listener in listeners:
            assert (await listener.next()).data["stage"] == "copying"
        assert time.monotonic() - began < 3
        await live_api.stack.aclose()


async def test_a_stream_ends_with_the_token_that_opened_it(api_settings: Settings) -> None:
    settings = api_settings.model_copy(update={"ping_seconds": 0.1})
    async with run_api(settings) as live_api, live_api.client("viewer") as viewer:
        listener = await live_api.listen("/v1/events", client=viewer)
        await listener.next()
        async with live_api.database.session() as session:
            row = await tokens.authenticate(session, "Bearer viewer")
            await tokens.revoke(session, row.id)
        assert [event.data for event in await listener.rest()] == [{"reason": "token_ended"}]
        await live_api.stack.aclose()


@pytest.fixture
def harmless_sigterm() -> Iterator[None]:
    """The server raises the signal again when it has ended: it must not end the tests."""
    previous = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, previous)


@pytest.mark.usefixtures("harmless_sigterm")
async def test_a_server_that_is_told_to_stop_says_bye_and_is_gone_soon(api_settings: Settings) -> None:
    async with run_api(api_settings) as live_api, live_api.client("viewer") as viewer:
        listeners = [await live_api.listen("/v1/events", client=viewer) for _ in range(5)]
        for listener in listeners:
            await listener.next()
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        for listener in listeners:
            assert [(event.name, event.data) for event in await listener.rest()] == [
                ("bye", {"reason": "server_stops"})
            ]
        await live_api.stack.aclose()
    assert time.monotonic() - began < 5
