"""Proxy hosts with different versions of virt-v2v side by side in one data center."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.guest import Guest, boots_to_its_login_prompt
from tests.support.newer_virt_v2v import NewerHost, newer_host
from tests.support.service import Place, running_place
from tests.support.vcenter import PASSWORD, USER, running_vcenter
from tests.support.vcenter_guest import seed_guest

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(2400)]

CONVERSION_SECONDS = 900
"""Two run at the same time, without KVM."""
ENVIRONMENT = {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}


@pytest.fixture
def place(guest: Guest) -> Iterator[Place]:
    with (
        tempfile.TemporaryDirectory(prefix="e2e-", dir="/tmp") as name,
        running_place(
            Path(name),
            environment={"V2V_IMPORT_LOG_LEVEL": "info"},
            virt_v2v_path="/usr/bin/virt-v2v",
            host={"environment": ENVIRONMENT},
        ) as found,
    ):
        shutil.copy(guest.root_disk, found.sources / "guest.qcow2")
        yield found


@pytest.fixture
def newer() -> Iterator[NewerHost]:
    with newer_host() as found:
        yield found


def added(place: Place, newer: NewerHost) -> Any:
    body = {
        "data_center_id": place.data_center_id,
        "name": "proxy-2",
        "address": "127.0.0.1",
        "port": newer.port,
        "private_key": newer.client_key.get_secret_value(),
        "host_key": newer.host_key,
        "work_dir": str(place.work_dir.with_name("newer")),
        "source_roots": [str(place.sources)],
        "virt_v2v_path": "/usr/bin/virt-v2v",
        "environment": ENVIRONMENT,
    }
    return place.service.post("/v1/proxy-hosts", body, status=201)


def test_each_of_two_versions_converts_a_guest_into_one_that_boots(place: Place, newer: NewerHost) -> None:
    older = place.service.get(f"/v1/proxy-hosts/{place.proxy_host_id}")
    hosts = [older, added(place, newer)]
    versions = [host["status"]["virt_v2v"]["version"] for host in hosts]
    assert [version.rpartition(".")[0] for version in versions] == ["2.2", "2.6"]
    store = place.sources.parent / "store"
    store.mkdir()
    domain_id = place.domain("store", "directory", store)
    ids = [
        place.service.post(
            "/v1/imports",
            {
                "source": {"kind": "disk", "path": str(place.sources / "guest.qcow2")},
                "storage_domain_id": domain_id,
                "proxy_host_id": host["id"],
                "vm": {"name": f"by-{version}"},
            },
            status=202,
        )["id"]
        for host, version in zip(hosts, versions, strict=True)
    ]

    for import_id, host in zip(ids, hosts, strict=True):
        ended = place.service.wait(import_id, seconds=CONVERSION_SECONDS)
        assert (ended["state"], ended["problem"]) == ("succeeded", None)
        assert ended["proxy_host_id"] == host["id"]
        assert [disk["percent"] for disk in ended["disk_progress"]] == [100]
        vm = place.service.get(f"/v1/vms/{ended['vm_id']}")
        disk = place.service.get(f"/v1/disks/{vm['disk_ids'][0]}")
        boots_to_its_login_prompt([Path(disk["location"]["path"])])
    assert place.left_behind() == []


def test_a_guest_of_a_vcenter_is_looked_into_by_each_virt_v2v_inspector(
    place: Place, newer: NewerHost, guest: Guest
) -> None:
    with running_vcenter() as vcenter:
        vm_id = seed_guest(vcenter, guest.root_disk)
        body = {
            "name": "vcenter-1",
            "kind": "vmware",
            "url": f"https://127.0.0.1:{vcenter.port}",
            "username": USER,
            "password": PASSWORD,
            "tls": {"ca_pem": vcenter.certificate.pem},
        }
        provider = place.service.post("/v1/providers", body, status=201)
        source = {"kind": "provider_vm", "provider_id": provider["id"], "vm_id": vm_id}
        items = [
            scanned(place, {"proxy_host_id": host_id, "source": source, "deep": True})
            for host_id in (place.proxy_host_id, added(place, newer)["id"])
        ]
    assert [item["guest_problem"] for item in items] == [None, None]
    found = [item["vm"]["guest"] for item in items]
    assert [guest["distro"] for guest in found] == ["debian", "debian"]
    assert [guest["virt_v2v_version"][:4] for guest in found] == ["2.2.", "2.6."]
    # The older one doesn't say what the disks boot by.
    assert [guest["firmware"] for guest in found] == [None, "bios"]


def scanned(place: Place, body: dict[str, Any]) -> Any:
    """The only item."""
    path = f"/v1/scans/{place.service.post('/v1/scans', body, status=202)['id']}"
    deadline = time.monotonic() + CONVERSION_SECONDS
    while (found := place.service.get(path))["state"] in {"queued", "running"}:
        assert time.monotonic() < deadline, found
        time.sleep(1)
    assert found["state"] == "succeeded", found
    [item] = found["items"]
    return item
