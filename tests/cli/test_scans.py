"""`scans`: looks into a source, waits for the end, and says how each VM is imported."""

import json
from typing import Any

from tests.support.api_stand_in import HOST_ID, VM_ID, Answer, StandIn, answer, page, run
from tests.support.api_stand_in import problem as problem_answer

SCANS = "/v1/scans"
PATH = f"{SCANS}/{VM_ID}"
PROBLEM = {"code": "source_not_found", "title": "The source is not there", "detail": "There is no 'a'."}
VM = {
    "name": "web\x1b",
    "disks": [{}],
    "capacity_bytes": 2**30,
    "concerns": [{"severity": "warning", "message": "It has snapshots."}],
}
FOUND = {
    "path": "/srv/it's web.ova",
    "source": {"kind": "ova", "path": "/srv/it's web.ova", "vm_id": "web-1"},
    "vm": VM,
    "problem": None,
}
BROKEN = {"path": "/srv/a.xml", "source": None, "vm": None, "problem": PROBLEM}


def a_scan(state: str, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": VM_ID,
        "state": state,
        "proxy_host_id": HOST_ID,
        "source": {"kind": "folder", "path": "/srv"},
        "problem": None,
        "complete": True,
        "item_count": len(items),
        "items": items,
        "created_at": "2026-01-02T03:04:05.000Z",
        **more,
    }


def test_it_waits_and_tells_how_each_vm_is_imported(stand_in: StandIn) -> None:
    stand_in.on("POST", SCANS, answer(a_scan("queued"), 202))
    stand_in.on("GET", PATH, answer(a_scan("running")), answer(a_scan("succeeded", FOUND, BROKEN)))
    result = run(stand_in, "scans", "create", "folder", "/srv", "--proxy-host", HOST_ID)
    assert result.exit_code == 0
    assert stand_in.bodies("POST", SCANS) == [
        {"proxy_host_id": HOST_ID, "source": {"kind": "folder", "path": "/srv"}}
    ]
    lines = result.stdout.splitlines()
    assert lines[0].startswith("/srv/it's web.ova: web")
    assert "\x1b" not in result.stdout
    assert "warning: It has snapshots." in lines[1]
    command = f"import ova '/srv/it'\"'\"'s web.ova' --proxy-host {HOST_ID} --vm-id web-1"
    assert command in lines[2]
    assert lines[3] == "/srv/a.xml: can't be imported: There is no 'a'."


def test_a_scan_that_failed_ends_with_its_problem(stand_in: StandIn) -> None:
    stand_in.on("GET", PATH, answer(a_scan("failed", problem=PROBLEM)))
    result = run(stand_in, "scans", "show", VM_ID)
    assert result.exit_code == 1
    assert "source_not_found" in result.stderr


def test_without_waiting_the_id_is_told(stand_in: StandIn) -> None:
    stand_in.on("POST", SCANS, answer(a_scan("queued"), 202))
    result = run(stand_in, "scans", "create", "upload", f"{VM_ID},{HOST_ID}", "--no-wait")
    assert result.stdout.strip() == VM_ID
    assert stand_in.bodies("POST", SCANS) == [{"source": {"kind": "upload", "upload_ids": [VM_ID, HOST_ID]}}]


def test_a_path_needs_a_proxy_host(stand_in: StandIn) -> None:
    assert run(stand_in, "scans", "create", "folder", "/srv").exit_code == 2


def test_json_is_the_scan_as_it_is(stand_in: StandIn) -> None:
    stand_in.on("GET", PATH, answer(a_scan("succeeded", FOUND)))
    assert json.loads(run(stand_in, "scans", "show", VM_ID, "--json").stdout) == a_scan(
        "succeeded", FOUND
    ) | {"items": [FOUND]}


def test_scans_are_listed_and_deleted(stand_in: StandIn) -> None:
    stand_in.on("GET", SCANS, page(a_scan("succeeded", FOUND), a_scan("failed", source=None)))
    result = run(stand_in, "scans", "list")
    assert VM_ID in result.stdout
    stand_in.on("DELETE", PATH, Answer(204))
    assert run(stand_in, "scans", "delete", VM_ID).stdout.strip() == f"{VM_ID}: deleted"
    stand_in.on("DELETE", PATH, problem_answer(404, "not_found", "There is no such scan"))
    assert run(stand_in, "scans", "delete", VM_ID).exit_code == 1


def test_a_deep_scan_tells_of_the_guests(stand_in: StandIn) -> None:
    stand_in.on("POST", SCANS, answer(a_scan("queued"), 202))
    known = {**FOUND, "vm": {**VM, "guest": {"name": "Debian 12", "type": "linux"}}}
    shut = {**FOUND, "guest_problem": {**PROBLEM, "detail": "It is encrypted."}}
    stand_in.on("GET", PATH, answer(a_scan("succeeded", known, shut)))
    result = run(stand_in, "scans", "create", "ova", "/srv/a.ova", "--proxy-host", HOST_ID, "--deep")
    assert [body["deep"] for body in stand_in.bodies("POST", SCANS)] == [True]
    assert "guest: Debian 12" in result.stdout
    assert "guest: It is encrypted." in result.stdout


def test_a_vm_of_a_provider_is_scanned_by_its_id(stand_in: StandIn) -> None:
    provider = {"id": HOST_ID, "name": "kvm-1"}
    source = {"kind": "provider_vm", "provider_id": HOST_ID, "vm_id": "vm-7"}
    found = {"path": None, "source": source, "vm": VM, "problem": None}
    stand_in.on("GET", "/v1/providers", page(provider))
    stand_in.on("POST", SCANS, answer(a_scan("queued"), 202))
    stand_in.on("GET", PATH, answer(a_scan("succeeded", found)))
    result = run(stand_in, "scans", "create", "provider-vm", "kvm-1", "--vm-id", "vm-7")
    assert result.exit_code == 0
    assert stand_in.bodies("POST", SCANS) == [{"source": source}]
    lines = result.stdout.splitlines()
    assert lines[0].startswith("VM vm-7: web")
    assert f"import provider-vm {HOST_ID} --proxy-host {HOST_ID} --vm-id vm-7" in lines[-1]


def test_a_vm_of_a_provider_needs_its_id(stand_in: StandIn) -> None:
    result = run(stand_in, "scans", "create", "provider-vm", "kvm-1")
    assert result.exit_code == 2
    assert "--vm-id" in result.stderr
