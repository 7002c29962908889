"""A shut-off VM of a real libvirtd behind SSH: listed, and converted by the real virt-v2v."""

import getpass
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.guest import Guest, boots_to_its_login_prompt, data_is_whole
from tests.support.libvirt import qcow2
from tests.support.libvirtd import Libvirtd, kvm_domain
from tests.support.remote_hosts import serving
from tests.support.service import Place, running_place
from tests.support.waiting import until

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(900)]

CONVERSION_SECONDS = 600
NIC = "<interface type='ethernet'><mac address='52:54:00:12:34:56'/><model type='virtio'/></interface>"


@pytest.fixture
def place() -> Iterator[Place]:
    """Its proxy host may read no path itself."""
    host = {"source_roots": [], "environment": {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}}
    with (
        tempfile.TemporaryDirectory(prefix="e2e-", dir="/tmp") as name,
        running_place(Path(name), environment={}, virt_v2v_path="/usr/bin/virt-v2v", host=host) as found,
    ):
        yield found


def overlay(disk: Path, directory: Path, name: str) -> Path:
    """The disk as a chain: an image that holds nothing, beside what it stands on."""
    base = Path(shutil.copy(disk, directory / f"{name}.base"))
    top = directory / name
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base.name, top.name]
    subprocess.run(argv, check=True, cwd=directory)
    return top


def new_provider(place: Place, libvirtd: Libvirtd) -> str:
    user = getpass.getuser()
    body = {
        "name": "kvm-1",
        "kind": "kvm",
        "url": f"qemu+ssh://{user}@127.0.0.1:{place.sshd.port}/system",
        "ssh": {
            "username": user,
            "private_key": place.sshd.client_key.get_secret_value(),
            "host_key": place.sshd.host_key,
        },
        "proxy_host_id": place.proxy_host_id,
        "options": {"libvirt_socket": str(libvirtd.socket)},
    }
    made = place.service.post("/v1/providers", body, status=201)
    assert made["status"]["state"] == "up", made
    found: str = made["id"]
    return found


def converted(place: Place, source: dict[str, str], store: Path) -> Any:
    store.mkdir()
    domain_id = place.domain("store", "directory", store)
    body = {"source": source, "storage_domain_id": domain_id, "vm": {"name": "web-1"}}
    import_id = place.service.post("/v1/imports", body, status=202)["id"]
    return place.service.wait(import_id, seconds=CONVERSION_SECONDS)


async def test_a_vm_of_a_kvm_host_with_two_disks_becomes_one_that_boots(
    place: Place, libvirtd: Libvirtd, guest: Guest, tmp_path: Path
) -> None:
    disks = [overlay(guest.directory / name, tmp_path, name) for name in ("root.qcow2", "data.qcow2")]
    elements = "".join(qcow2(str(disk), f"vd{'ab'[number]}") for number, disk in enumerate(disks))
    uuid = libvirtd.define(kvm_domain(f"web-{uuid4().hex[:8]}", str(uuid4()), elements + NIC))
    provider_id = new_provider(place, libvirtd)
    [listed] = [
        vm for vm in place.service.get(f"/v1/providers/{provider_id}/vms")["items"] if vm["id"] == uuid
    ]
    assert (listed["state"], listed["disk_count"]) == ("down", 2)
    source = {"kind": "provider_vm", "provider_id": provider_id, "vm_id": uuid}
    ended = converted(place, source, tmp_path / "store")
    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    assert [disk["percent"] for disk in ended["disk_progress"]] == [100, 100]
    vm = place.service.get(f"/v1/vms/{ended['vm_id']}")
    paths = [
        Path(place.service.get(f"/v1/disks/{disk_id}")["location"]["path"]) for disk_id in vm["disk_ids"]
    ]
    assert place.left_behind() == []
    await until(lambda: not serving(str(tmp_path)))
    assert data_is_whole(paths[1])
    boots_to_its_login_prompt(paths)
