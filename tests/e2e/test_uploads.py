"""Imports from uploads through the whole service: files become a VM, and nothing is left of them."""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.test_imports import MIB, new_domain
from tests.support.ovas import ovf, pack, vmdk
from tests.support.service import Place
from tests.support.uploads import UPLOADS, creation, part

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.parametrize("place", ["sqlite"], indirect=True, scope="module"),
]


def upload(place: Place, name: str, data: bytes) -> str:
    """The id of a complete upload, sent in two parts."""
    http = place.service.client
    headers = creation(len(data), filename=name, proxy_host_id=place.proxy_host_id)
    path = http.post(UPLOADS, headers=headers).headers["location"]
    half = len(data) // 2
    for start, piece in ((0, data[:half]), (half, data[half:])):
        assert http.patch(path, headers=part(start), content=piece).status_code == 204
    return path.rsplit("/", 1)[1]


def imported(place: Place, ids: list[str], **more: Any) -> Mapping[str, Any]:
    """How the import of the uploads ended."""
    body = {"source": {"kind": "upload", "upload_ids": ids}, **more}
    made = place.service.post("/v1/imports", body, status=202)
    assert made["spec"]["proxy_host_id"] == place.proxy_host_id
    ended: Mapping[str, Any] = place.service.wait(made["id"])
    return ended


def image(tmp_path: Path, kind: str = "qcow2") -> bytes:
    path = tmp_path / f"{uuid4().hex}.{kind}"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(path), str(8 * MIB)], check=True)
    return path.read_bytes()


def left(place: Place) -> list[str]:
    return sorted(path.name for path in (place.work_dir / "uploads").iterdir())


def wait_until_empty(place: Place) -> None:
    deadline = time.monotonic() + 60
    while place.service.get(UPLOADS)["items"] or left(place):
        assert time.monotonic() < deadline, left(place)
        time.sleep(0.1)


def test_a_disk_a_domain_and_an_ova_become_vms_and_leave_nothing(place: Place, tmp_path: Path) -> None:
    domain_id, _ = new_domain(place)
    name = uuid4().hex[:8]
    xml = (
        f"<domain type='kvm'><name>domain {name}</name><memory unit='MiB'>512</memory><vcpu>2</vcpu>"
        "<os><type>hvm</type></os><devices><disk type='file' device='disk'>"
        "<driver name='qemu' type='qcow2'/><source file='/var/lib/libvirt/images/web.qcow2'/>"
        "<target dev='vda' bus='virtio'/></disk></devices></domain>"
    ).encode()
    ova = pack(tmp_path / "web.ova", {"web.ovf": ovf(name=f"ova {name}"), "disk1.vmdk": vmdk(tmp_path)})
    sets = {
        f"disk {name}": {f"disk {name}.qcow2": image(tmp_path)},
        f"domain {name}": {"web.xml": xml, "web.qcow2": image(tmp_path)},
        f"ova {name}": {"../web.ova": ova.read_bytes()},
    }
    for vm, files in sets.items():
        ids = [upload(place, file, data) for file, data in files.items()]
        ended = imported(place, ids, storage_domain_id=domain_id)
        assert (ended["state"], ended["problem"]) == ("succeeded", None)
        assert place.service.get(f"/v1/vms/{ended['vm_id']}")["name"] == vm
    wait_until_empty(place)
    assert place.left_behind() == []


def test_an_import_that_fails_leaves_its_uploads_for_the_retry(place: Place, tmp_path: Path) -> None:
    domain_id, _ = new_domain(place)
    place.control(behaviour="fail", message="a message that nobody knows")
    ids = [upload(place, f"{uuid4().hex[:8]}.img", image(tmp_path, "raw"))]
    ended = imported(place, ids, storage_domain_id=domain_id)
    assert ended["state"] == "failed"
    assert [item["id"] for item in place.service.get(UPLOADS)["items"]] == ids
    place.control()
    place.service.post(f"/v1/imports/{ended['id']}/retry", status=202)
    assert place.service.wait(ended["id"], "succeeded")["state"] == "succeeded"
    wait_until_empty(place)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"a.img": bytes(512), "b.img": bytes(512)}, "exactly one that describes the VM"),
        ({"web.xml": b"<domain><name>x</name></domain>", "web.ova": bytes(257) + b"ustar"}, "exactly one"),
        ({"web.ova": bytes(257) + b"ustar", "a.img": bytes(512)}, "comes alone"),
    ],
)
def test_files_that_are_no_vm_say_what_is_missing(
    place: Place, files: Mapping[str, bytes], told: str
) -> None:
    domain_id, _ = new_domain(place)
    ids = [upload(place, name, data) for name, data in files.items()]
    body = {"source": {"kind": "upload", "upload_ids": ids}, "storage_domain_id": domain_id}
    checked = place.service.post("/v1/imports/check", body, status=200)
    assert [problem["code"] for problem in checked["problems"]] == ["invalid_source"]
    assert told in checked["problems"][0]["detail"]
    for upload_id in ids:
        assert place.service.client.delete(f"{UPLOADS}/{upload_id}").status_code == 204
    wait_until_empty(place)
