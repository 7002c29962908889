"""Following one import across lost connections, restarts and the end of the stream."""

from collections.abc import Iterator

import pytest

from app.cli.client import ProblemError, Service
from app.cli.stream import Event, Follower
from tests.support.api_stand_in import (
    IMPORT_ID,
    Answer,
    StandIn,
    an_import,
    answer,
    frame,
    problem,
    snapshot,
    stream,
)

PATH = f"/v1/imports/{IMPORT_ID}"
EVENTS = f"{PATH}/events"
END = frame("import", an_import("succeeded"), "9-0")


@pytest.fixture
def service(stand_in: StandIn) -> Iterator[Service]:
    connected = Service(stand_in.url, "v2v_secret-token", is_local=True)
    yield connected
    connected.close()


def events_of(service: Service, losses: list[str] | None = None) -> list[Event]:
    told: list[str] = [] if losses is None else losses
    return list(Follower(service, IMPORT_ID, lost=told.append, sleep=lambda _: None).events())


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def test_it_ends_with_the_event_that_ends_the_import(stand_in: StandIn, service: Service) -> None:
    stand_in.on("GET", EVENTS, stream(snapshot(an_import()), END, frame("message", {}, "9-1")))
    assert kinds(events_of(service)) == ["snapshot", "import"]


def test_a_snapshot_of_an_ended_import_is_the_end(stand_in: StandIn, service: Service) -> None:
    stand_in.on("GET", EVENTS, stream(snapshot(an_import("failed"))))
    assert kinds(events_of(service)) == ["snapshot"]


def test_after_bye_it_goes_on_behind_the_last_cursor(stand_in: StandIn, service: Service) -> None:
    bye = frame("bye", {"reason": "stopping"}, "1-0")
    stand_in.on("GET", EVENTS, stream(snapshot(an_import(), "1-0"), bye), stream(END))
    losses: list[str] = []
    assert kinds(events_of(service, losses)) == ["snapshot", "bye", "import"]
    assert stand_in.headers(EVENTS, "Last-Event-ID") == [None, "1-0"]
    assert losses == []


def test_a_broken_connection_is_told_once_and_resumed(stand_in: StandIn, service: Service) -> None:
    half = stream(snapshot(an_import(), "1-0"), b"id: 2-0\nevent: impo", breaks=True)
    stand_in.on("GET", EVENTS, half, Answer(502), problem(503, "events_unavailable", "Later"), stream(END))
    losses: list[str] = []
    assert kinds(events_of(service, losses)) == ["snapshot", "import"]
    assert stand_in.headers(EVENTS, "Last-Event-ID") == [None, "1-0", "1-0", "1-0"]
    assert len(losses) == 1


def test_no_content_behind_the_cursor_means_that_the_import_has_ended(
    stand_in: StandIn, service: Service
) -> None:
    stand_in.on("GET", EVENTS, stream(snapshot(an_import()), breaks=True), Answer(204))
    stand_in.on("GET", PATH, answer(an_import("cancelled")))
    assert events_of(service)[-1].data["state"] == "cancelled"


def test_a_resync_is_followed_by_a_snapshot_that_replaces_all(stand_in: StandIn, service: Service) -> None:
    resync = frame("resync", {"reason": "trimmed"}, "5-0")
    stand_in.on("GET", EVENTS, stream(resync, snapshot(an_import("succeeded"), "5-1")))
    assert kinds(events_of(service)) == ["resync", "snapshot"]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_final(stand_in: StandIn, service: Service, status: int) -> None:
    stand_in.on("GET", EVENTS, problem(status, "refused", "No"))
    with pytest.raises(ProblemError, match="No"):
        events_of(service)


def test_it_gives_up_when_the_service_stays_away(stand_in: StandIn, service: Service) -> None:
    clock = iter(range(0, 10_000, 400)).__next__
    stand_in.on("GET", EVENTS, Answer(503))
    follower = Follower(service, IMPORT_ID, lost=lambda _: None, sleep=lambda _: None, clock=clock)
    with pytest.raises(ProblemError, match="503"):
        list(follower.events())
    assert len(stand_in.headers(EVENTS, "Accept")) == 3
