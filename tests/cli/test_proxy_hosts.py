"""`proxy-hosts`: a key is accepted by a person, by its fingerprint, or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_stand_in import CENTER_ID, HOST_ID, StandIn, answer, page, run

HOSTS = "/v1/proxy-hosts"
HOST = f"{HOSTS}/{HOST_ID}"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"
FINGERPRINT = "SHA256:u2gMjAZBcAhUxJV4aKGo1xV1mYqDPFGCaeBN9wcCCvw"


def a_host(state: str = "up", host_key: str | None = KEY, offered: str | None = KEY) -> dict[str, Any]:
    return {
        "id": HOST_ID,
        "name": "p1",
        "address": "192.0.2.10",
        "port": 22,
        "username": "root",
        "host_key": host_key,
        "status": {
            "state": state,
            "problem": None,
            "offered_host_key": offered,
            "fingerprint": FINGERPRINT if offered else None,
            "virt_v2v": {"version": "2.2.0", "inputs": ["disk", "ova"], "outputs": ["local"], "features": []},
            "cpu_count": 4,
            "memory_bytes": 2**33,
            "free_bytes": 2**40,
            "running_imports": 1,
        },
    }


UNVERIFIED = a_host("unverified", host_key=None)


@pytest.fixture(autouse=True)
def _enrolling(stand_in: StandIn) -> None:
    stand_in.on("GET", "/v1/data-centers", page({"id": CENTER_ID, "name": "north", "networks": []}))
    stand_in.on("POST", HOSTS, answer(UNVERIFIED, 201))
    stand_in.on("PATCH", HOST, answer(a_host()))
    stand_in.on("POST", f"{HOST}/check", answer(a_host()))


def test_a_host_is_added_from_a_document_and_its_key_accepted(stand_in: StandIn) -> None:
    body = {
        "name": "p1",
        "address": "127.0.0.1",
        "port": 2222,
        "private_key": "KEY\n",
        "data_center_id": None,
    }
    result = run(stand_in, "proxy-hosts", "add", "--from", "-", "--accept-key", stdin=json.dumps(body))
    assert result.exit_code == 0
    assert stand_in.bodies("POST", HOSTS) == [body | {"data_center_id": CENTER_ID}]
    assert stand_in.bodies("PATCH", HOST) == [{"host_key": KEY}]
    assert FINGERPRINT in result.stderr
    assert "state:       up" in result.stdout


def test_a_host_is_added_from_options(stand_in: StandIn, tmp_path: Path) -> None:
    key = tmp_path / "id"
    key.write_text("PRIVATE\n")
    options = ["--address", "p1.example", "--private-key-file", str(key), "--source-root", "/srv", "--sudo"]
    run(stand_in, "proxy-hosts", "add", "p1", *options, "--accept-key")
    assert stand_in.bodies("POST", HOSTS) == [
        {
            "name": "p1",
            "address": "p1.example",
            "private_key": "PRIVATE\n",
            "sudo": True,
            "source_roots": ["/srv"],
            "data_center_id": CENTER_ID,
        }
    ]


def test_a_key_that_nobody_accepted_stays_unverified(stand_in: StandIn) -> None:
    result = run(stand_in, "proxy-hosts", "add", "p1", "--address", "p1.example")
    assert result.exit_code == 1
    assert stand_in.bodies("PATCH", HOST) == []
    assert FINGERPRINT in result.stderr
    assert f"v2v-import proxy-hosts accept-key {HOST_ID}" in result.stderr


def test_another_fingerprint_than_the_expected_is_refused(stand_in: StandIn) -> None:
    stand_in.on("GET", HOSTS, page(UNVERIFIED))
    stand_in.on("POST", f"{HOST}/check", answer(UNVERIFIED))
    result = run(stand_in, "proxy-hosts", "accept-key", "p1", "--accept-fingerprint", "SHA256:other")
    assert result.exit_code == 1
    assert "not SHA256:other" in result.stderr
    assert stand_in.bodies("PATCH", HOST) == []


def test_an_unexpected_fingerprint_is_refused_also_of_a_key_that_is_accepted_already(
    stand_in: StandIn,
) -> None:
    result = run(stand_in, "proxy-hosts", "accept-key", HOST_ID, "--accept-fingerprint", "SHA256:other")
    assert result.exit_code == 1


def test_the_expected_fingerprint_is_accepted(stand_in: StandIn) -> None:
    stand_in.on("POST", f"{HOST}/check", answer(UNVERIFIED), answer(a_host()))
    result = run(stand_in, "proxy-hosts", "accept-key", HOST_ID, "--accept-fingerprint", FINGERPRINT)
    assert result.exit_code == 0
    assert stand_in.bodies("PATCH", HOST) == [{"host_key": KEY}]


def test_a_changed_key_is_accepted_only_when_asked(stand_in: StandIn) -> None:
    changed = a_host("unreachable", host_key="ssh-ed25519 OLD")
    stand_in.on("POST", f"{HOST}/check", answer(changed))
    assert run(stand_in, "proxy-hosts", "accept-key", HOST_ID).exit_code == 1
    assert stand_in.bodies("PATCH", HOST) == []


def test_a_host_whose_key_is_known_is_only_checked(stand_in: StandIn) -> None:
    stand_in.on("POST", HOSTS, answer(a_host("checking", offered=None), 201))
    assert run(stand_in, "proxy-hosts", "add", "p1", "--address", "x").exit_code == 0
    assert stand_in.bodies("PATCH", HOST) == []


def test_a_known_key_is_compared_with_the_expected_fingerprint(stand_in: StandIn) -> None:
    stand_in.on("POST", HOSTS, answer(a_host("checking", offered=None), 201))
    wanted = ["--address", "x", "--accept-fingerprint"]
    assert run(stand_in, "proxy-hosts", "add", "p1", *wanted, FINGERPRINT).exit_code == 0
    assert run(stand_in, "proxy-hosts", "add", "p1", *wanted, "SHA256:other").exit_code == 1


def test_a_check_of_a_host_that_is_not_up_ends_with_1(stand_in: StandIn) -> None:
    down = a_host("unreachable")
    down["status"]["problem"] = {"title": "It does not answer", "code": "host_unreachable", "detail": "No."}
    stand_in.on("POST", f"{HOST}/check", answer(down))
    result = run(stand_in, "proxy-hosts", "check", HOST_ID)
    assert result.exit_code == 1
    assert "host_unreachable" in result.stderr


def test_a_list_shows_state_and_version(stand_in: StandIn) -> None:
    stand_in.on("GET", HOSTS, page(a_host()))
    header, row = run(stand_in, "proxy-hosts", "list").stdout.splitlines()
    assert header.split() == ["ID", "NAME", "ADDRESS", "STATE", "VIRT-V2V", "RUNNING"]
    assert row.split() == [HOST_ID, "p1", "192.0.2.10:22", "up", "2.2.0", "1"]
