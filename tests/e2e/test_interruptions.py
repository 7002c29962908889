"""What clients see while parts of the service go away: deploys, and Redis that hangs or comes back empty."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.redis import RedisServer, running_redis
from tests.support.service import ENDED, Place, running_place
from tests.support.sse import Listener, Told
from tests.support.sshd import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(240)

FOLLOWERS = 20
STOP_SECONDS = 5.0


@pytest.fixture(scope="module")
def redis_of_place() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture(scope="module")
def place(redis_of_place: RedisServer) -> Iterator[Place]:
    environment = {"V2V_IMPORT_REDIS_URL": redis_of_place.url, "V2V_IMPORT_LOG_LEVEL": "info"}
    with (
        tempfile.TemporaryDirectory(prefix="e2e-", dir="/tmp") as directory,
        running_place(Path(directory), environment=environment) as found,
    ):
        yield found


def _start(place: Place, **headers: str) -> str:
    """The id of a new import of one disk."""
    path, store = (
        place.sources / f"{uuid4().hex[:8]}.qcow2",
        place.sources.parent / f"store-{uuid4().hex[:8]}",
    )
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "8M"], check=True)
    store.mkdir()
    domain_id = place.domain(store.name, "directory", store)
    body = {"source": {"kind": "disk", "path": str(path)}, "storage_domain_id": domain_id}
    answer = place.service.client.post("/v1/imports", json=body, headers=headers)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    made: str = answer.json()["id"]
    return made


def _headers(place: Place) -> dict[str, str]:
    token = (place.service.data_dir / "admin-token").read_text().strip()
    return {"Authorization": f"Bearer {token}"}


class Follower:
    """A client of all events that comes back with its cursor, to one API process or the other."""

    def __init__(self, client: httpx.AsyncClient, urls: Sequence[str]) -> None:
        self.told: list[Told] = []
        self.reasons: list[str] = []
        self.snapshots = 0
        self._client, self._urls = client, urls
        self._cursor: str | None = None
        self._tries = 0

    async def follow(self) -> None:
        """Until it is cancelled."""
        while True:
            url = self._urls[self._tries % len(self._urls)]
            headers = {"Last-Event-ID": self._cursor} if self._cursor else {}
            try:
                async with self._client.stream("GET", f"{url}/v1/events", headers=headers) as answer:
                    if answer.status_code == httpx.codes.OK:
                        await self._read(Listener(answer.aiter_bytes()))
            except (httpx.HTTPError, EOFError):
                pass
            self._tries += 1
            await asyncio.sleep(0.1)

    async def _read(self, listener: Listener) -> None:
        while True:
            event = await listener.next(seconds=120)
            self._cursor = event.id
            if event.name == "bye":
                self.reasons.append(event.data["reason"])
            elif event.name == "snapshot":
                self.snapshots += 1
            else:
                self.told.append(event)

    def has_seen_the_end_of(self, import_id: str) -> bool:
        return any(
            event.name == "import" and event.data["id"] == import_id and event.data["state"] in ENDED
            for event in self.told
        )


async def _is_gone(pid: int) -> None:
    await until(lambda: not Path(f"/proc/{pid}").exists(), seconds=STOP_SECONDS + 5)


async def _wait(place: Place, import_id: str, *states: str) -> Any:
    return await asyncio.to_thread(place.service.wait, import_id, *states, seconds=90)


async def test_a_deploy_loses_no_event_and_starts_nothing_twice(place: Place) -> None:
    place.control(copy_seconds=8)
    started, port = len(place.starts()), free_port()
    urls = [place.service.url, f"http://127.0.0.1:{port}"]
    async with httpx.AsyncClient(headers=_headers(place), timeout=120) as client:
        followers = [Follower(client, urls) for _ in range(FOLLOWERS)]
        with place.service.beside("api", "--port", str(port)), place.service.beside("worker"):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(follower.follow()) for follower in followers]
                await until(lambda: all(follower.snapshots == 1 for follower in followers))
                import_id = await asyncio.to_thread(_start, place)
                await _wait(place, import_id, "running")
                await until(lambda: len(place.starts()) == started + 1)
                for name in ("api", "worker"):
                    pid = place.service.child(name)
                    os.kill(pid, signal.SIGTERM)
                    await _is_gone(pid)
                await until(
                    lambda: all(follower.has_seen_the_end_of(import_id) for follower in followers), seconds=90
                )
                for task in tasks:
                    task.cancel()
    assert (await _wait(place, import_id))["state"] == "succeeded"
    assert len(place.starts()) == started + 1
    assert {reason for follower in followers for reason in follower.reasons} == {"server_stops"}
    assert {follower.snapshots for follower in followers} == {1}
    first, *others = ([event.id for event in follower.told] for follower in followers)
    assert len(set(first)) == len(first)
    assert all(ids == first for ids in others)
    assert place.left_behind() == []


async def test_while_redis_hangs_requests_answer_and_imports_go_on(
    place: Place, redis_of_place: RedisServer
) -> None:
    place.control(copy_seconds=3)
    import_id = await asyncio.to_thread(_start, place)
    await _wait(place, import_id, "running")
    async with httpx.AsyncClient(base_url=place.service.url, headers=_headers(place), timeout=60) as client:
        async with client.stream("GET", "/v1/events") as answer:
            stream = Listener(answer.aiter_bytes())
            seen = await stream.next()
            redis_of_place.pause()
            try:
                while (event := await stream.next(seconds=60)).name != "bye":
                    seen = event
                assert event.data["reason"] == "events_unavailable"
                await _answers_without_redis(place, client)
                ended = await _wait(place, import_id)
            finally:
                redis_of_place.resume()
        assert ended["state"] == "succeeded", ended["problem"]
        told = await _told_after(client, seen.id, import_id)
        assert told[-1].data["state"] == "succeeded"
        assert "resync" not in {event.name for event in told}


async def _answers_without_redis(place: Place, client: httpx.AsyncClient) -> None:
    refused = await client.get("/v1/events")
    assert (refused.status_code, refused.json()["code"]) == (503, "events_unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    # One after the other: each that waited for Redis by itself would take its seconds.
    async with asyncio.timeout(40):
        for number in range(30):
            key = {"Idempotency-Key": f"while-away-{number // 2}"}
            made = await client.post("/v1/stream-tickets", json={"path": "/v1/events"}, headers=key)
            assert made.status_code == httpx.codes.CREATED, made.text
            assert ("idempotency-replayed" in made.headers) == bool(number % 2)
            assert (await client.get("/v1/imports")).status_code == httpx.codes.OK
    place.control(copy_seconds=0.5)
    import_id = await asyncio.to_thread(_start, place)
    assert (await _wait(place, import_id))["state"] == "succeeded"


async def _told_after(client: httpx.AsyncClient, cursor: str, import_id: str) -> list[Told]:
    """What a client that comes back is told, up to the end of the import."""
    told: list[Told] = []

    async def is_told() -> bool:
        async with client.stream("GET", "/v1/events", headers={"Last-Event-ID": cursor}) as answer:
            if answer.status_code != httpx.codes.OK:
                return False
            listener = Listener(answer.aiter_bytes())
            while not any(_ends(event, import_id) for event in told):
                told.append(await listener.next(seconds=60))
            return True

    await until(is_told, seconds=90)
    return told


def _ends(event: Told, import_id: str) -> bool:
    shown = {"snapshot": event.data.get("imports", []), "import": [event.data]}.get(event.name, [])
    return any(one["id"] == import_id and one["state"] in ENDED for one in shown)


async def test_an_empty_redis_is_told_to_clients_and_stops_nothing(
    place: Place, redis_of_place: RedisServer
) -> None:
    place.control(copy_seconds=3)
    async with httpx.AsyncClient(base_url=place.service.url, headers=_headers(place), timeout=60) as client:
        async with client.stream("GET", "/v1/events") as answer:
            cursor = (await Listener(answer.aiter_bytes()).next()).id
        import_id = await asyncio.to_thread(_start, place)
        await _wait(place, import_id, "running")
        redis_of_place.stop()
        shutil.rmtree(redis_of_place.directory / "appendonlydir")
        redis_of_place.start()
        told = await _told_after(client, cursor, import_id)
    assert [event.name for event in told[:2]] == ["resync", "snapshot"]
    assert (await _wait(place, import_id))["state"] == "succeeded"
