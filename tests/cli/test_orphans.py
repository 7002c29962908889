"""`orphans`: what was left behind is listed, and removed by its ids or all of it."""

import json
from typing import Any

from tests.support.api_stand_in import DISK_ID, HOST_ID, IMPORT_ID, VM_ID, Asked, StandIn, answer, run

ORPHANS = "/v1/orphans"
REMOVE = f"{ORPHANS}/remove"
AWAY = {
    "proxy_host_id": HOST_ID,
    "storage_domain_id": None,
    "problem": {"title": "It does not answer", "code": "host_unreachable", "detail": "No answer."},
}


def an_orphan(orphan_id: str = VM_ID, **members: Any) -> dict[str, Any]:
    return {
        "id": orphan_id,
        "kind": "attempt_directory",
        "proxy_host_id": HOST_ID,
        "storage_domain_id": None,
        "attempt_id": DISK_ID,
        "import_id": IMPORT_ID,
        "path": "/var/lib/v2v-import/attempts/1",
        "size_bytes": 2**30,
        "created_at": "2026-01-02T03:04:05.000Z",
        "running": True,
        **members,
    }


def a_page(
    *orphans: dict[str, Any], unreachable: tuple[dict[str, Any], ...] = (), cursor: str | None = None
) -> Any:
    return answer({"items": list(orphans), "unreachable": list(unreachable), "next_cursor": cursor})


def removing(asked: Asked) -> Any:
    removals = [{"id": each, "outcome": "removed", "problem": None} for each in asked.body["ids"]]
    return answer({"items": removals})


def test_orphans_are_listed_and_what_could_not_be_asked_is_noted(stand_in: StandIn) -> None:
    stand_in.on("GET", ORPHANS, a_page(an_orphan(), unreachable=(AWAY,)))
    result = run(stand_in, "orphans", "list")
    assert result.exit_code == 0
    header, row = result.stdout.splitlines()
    assert header.split() == ["ID", "KIND", "SIZE", "RUNS", "PROXY", "HOST", "IMPORT", "PATH"]
    assert row.split()[0] == VM_ID
    assert "1.0 GiB" in row
    assert f"not looked at: proxy host {HOST_ID}: No answer." in result.stderr


def test_json_has_all_pages_and_what_could_not_be_asked(stand_in: StandIn) -> None:
    first, second = an_orphan(), an_orphan(DISK_ID)
    stand_in.on("GET", ORPHANS, a_page(first, cursor="next"), a_page(second, unreachable=(AWAY,)))
    result = run(stand_in, "orphans", "list", "--json")
    assert json.loads(result.stdout) == {
        "items": [first, second],
        "unreachable": [AWAY],
        "next_cursor": None,
    }


def test_those_that_are_named_are_removed(stand_in: StandIn) -> None:
    stand_in.on("POST", REMOVE, removing)
    result = run(stand_in, "orphans", "remove", VM_ID, DISK_ID)
    assert result.exit_code == 0
    assert stand_in.bodies("POST", REMOVE) == [{"ids": [VM_ID, DISK_ID]}]
    assert [line.split() for line in result.stdout.splitlines()[1:]] == [
        [VM_ID, "removed"],
        [DISK_ID, "removed"],
    ]


def test_all_are_removed_a_few_at_a_time(stand_in: StandIn) -> None:
    ids = [f"01935b8e-0000-8000-8000-{number:012}" for number in range(45)]
    stand_in.on("GET", ORPHANS, a_page(*(an_orphan(each) for each in ids)))
    stand_in.on("POST", REMOVE, removing)
    result = run(stand_in, "orphans", "remove", "--all", "--json")
    assert result.exit_code == 0
    assert [len(body["ids"]) for body in stand_in.bodies("POST", REMOVE)] == [20, 20, 5]
    assert [removal["id"] for removal in json.loads(result.stdout)["items"]] == ids


def test_all_of_nothing_is_nothing(stand_in: StandIn) -> None:
    stand_in.on("GET", ORPHANS, a_page())
    result = run(stand_in, "orphans", "remove", "--all")
    assert (result.exit_code, stand_in.bodies("POST", REMOVE)) == (0, [])


def test_one_that_could_not_be_removed_ends_with_1(stand_in: StandIn) -> None:
    failed = {"id": VM_ID, "outcome": "failed", "problem": AWAY["problem"]}
    stand_in.on("POST", REMOVE, answer({"items": [failed]}))
    result = run(stand_in, "orphans", "remove", VM_ID)
    assert result.exit_code == 1
    assert "No answer." in result.stdout


def test_all_is_not_all_while_a_host_can_not_be_asked(stand_in: StandIn) -> None:
    stand_in.on("GET", ORPHANS, a_page(unreachable=(AWAY,)))
    assert run(stand_in, "orphans", "remove", "--all").exit_code == 1


def test_ids_or_all_of_them_must_be_said(stand_in: StandIn) -> None:
    for arguments in ([], ["--all", VM_ID]):
        assert run(stand_in, "orphans", "remove", *arguments).exit_code == 2
