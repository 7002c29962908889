"""What a forced cancel leaves on a proxy host that is away is found and removed when the host is back."""

import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.hosts import marked_pids
from tests.support.service import Place

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.parametrize("place", ["sqlite"], indirect=True, scope="module"),
]

ORPHANS = "/v1/orphans"
PATIENCE_SECONDS = 60


def begun(place: Place, store: Path) -> str:
    """An import whose virt-v2v hangs in its work."""
    source = place.sources / f"{uuid4().hex[:8]}.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(source), "8M"], check=True)
    domain_id = place.domain(store.name, "directory", store)
    place.control(behaviour="hang")
    body = {"source": {"kind": "disk", "path": str(source)}, "storage_domain_id": domain_id}
    before = len(place.starts())
    import_id: str = place.service.post("/v1/imports", body, status=202)["id"]
    place.service.wait_for(import_id, lambda _: len(place.starts()) > before)
    return import_id


def found_with(place: Place, what: str) -> Any:
    """The list of orphans once it has something there: a lost host is tried again after a moment."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := place.service.get(ORPHANS))[what]:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def test_what_a_forced_cancel_left_is_listed_and_removed_when_the_host_is_back(place: Place) -> None:
    store = place.sources.parent / f"store-{uuid4().hex[:8]}"
    store.mkdir()
    import_id = begun(place, store)
    assert place.service.get(ORPHANS) == {"items": [], "unreachable": [], "next_cursor": None}
    place.sshd.stop()
    try:
        place.service.post(f"/v1/imports/{import_id}/cancel", {"force": True}, status=202)
        assert place.service.wait(import_id)["state"] == "cancelled"
        away = found_with(place, "unreachable")
        assert [found["proxy_host_id"] for found in away["unreachable"]] == [place.proxy_host_id]
        assert away["items"] == []
    finally:
        place.sshd.start()
    orphans = found_with(place, "items")["items"]
    assert sorted((orphan["kind"], orphan["running"]) for orphan in orphans) == [
        ("attempt_directory", True),
        ("storage_directory", True),
    ]
    assert {orphan["import_id"] for orphan in orphans} == {import_id}
    attempt_ids = {orphan["attempt_id"] for orphan in orphans}
    assert len(marked_pids(attempt_ids)) >= 2
    removed = place.service.post(f"{ORPHANS}/remove", {"ids": [orphan["id"] for orphan in orphans]})
    assert [outcome["outcome"] for outcome in removed["items"]] == ["removed", "removed"]
    assert place.service.get(ORPHANS)["items"] == []
    assert (place.left_behind(), list(store.iterdir())) == ([], [])
    assert marked_pids(attempt_ids) == []
    place.control()
    place.service.post(f"/v1/imports/{import_id}/retry", status=202)
    assert place.service.wait(import_id)["state"] == "succeeded"
