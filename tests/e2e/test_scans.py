"""Scans through the whole service: what a scan lists is imported as it stands there."""

import time
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.test_imports import new_domain
from tests.support.descriptions import domain_xml
from tests.support.images import make_image
from tests.support.service import Place

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.parametrize("place", ["sqlite"], indirect=True, scope="module"),
]


def scanned(place: Place, **source: str) -> Any:
    """The scan when it has ended."""
    body = {"proxy_host_id": place.proxy_host_id, "source": source}
    path = f"/v1/scans/{place.service.post('/v1/scans', body, status=202)['id']}"
    deadline = time.monotonic() + 60
    while (found := place.service.get(path))["state"] in {"queued", "running"}:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def test_each_vm_that_a_scan_lists_is_imported_by_its_source(place: Place) -> None:
    domain_id, _ = new_domain(place)
    folder = place.sources / f"scan {uuid4().hex[:8]}"
    folder.mkdir()
    name = uuid4().hex[:8]
    make_image(folder / "web.img", "raw")
    (folder / "web.xml").write_bytes(domain_xml(["web.img"], name=f"web {name}"))
    make_image(folder / f"db {name}.qcow2", "qcow2")
    (folder / "gone.xml").write_bytes(domain_xml(["gone.img"]))
    found = scanned(place, kind="folder", path=str(folder))
    assert (found["state"], found["complete"]) == ("succeeded", True)
    assert [item["problem"] and item["problem"]["code"] for item in found["items"]] == [
        None,
        "source_not_found",
        None,
    ]
    for item in found["items"]:
        if item["vm"] is None:
            continue
        body = {"source": item["source"], "storage_domain_id": domain_id}
        ended = place.service.wait(place.service.post("/v1/imports", body, status=202)["id"])
        assert (ended["state"], ended["problem"]) == ("succeeded", None)
        assert place.service.get(f"/v1/vms/{ended['vm_id']}")["name"] == item["vm"]["name"]


def test_a_scan_outlives_its_worker(place: Place) -> None:
    place.service.kill_worker()
    assert scanned(place, kind="folder", path=str(place.sources))["state"] == "succeeded"
