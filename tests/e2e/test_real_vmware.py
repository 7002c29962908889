"""A real guest of a simulated vCenter, imported by the real virt-v2v through the whole service over HTTP."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.guest import Guest, boots_to_its_login_prompt
from tests.support.service import Place, running_place
from tests.support.vcenter import PASSWORD, USER, Vcenter, running_vcenter
from tests.support.vcenter_guest import mounted_datastore, seed_guest

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(1500)]

CONVERSION_SECONDS = 900
"""Through the simulator the disk comes slowly, and is read twice."""


@pytest.fixture
def place() -> Iterator[Place]:
    host = {"environment": {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}}
    with (
        tempfile.TemporaryDirectory(prefix="e2e-", dir="/tmp") as name,
        running_place(
            Path(name),
            environment={"V2V_IMPORT_LOG_LEVEL": "info"},
            virt_v2v_path="/usr/bin/virt-v2v",
            host=host,
        ) as found,
    ):
        yield found


@pytest.fixture
def server(guest: Guest) -> Iterator[Vcenter]:
    with running_vcenter() as found:
        seed_guest(found, guest.root_disk)
        yield found


@pytest.fixture
def esxi(guest: Guest) -> Iterator[Vcenter]:
    """Its datastore lies where an ESXi host has it, for whoever logs in to this machine."""
    with running_vcenter("-kind", "esxi") as found:
        seed_guest(found, guest.root_disk)
        with mounted_datastore(found):
            yield found


def pinned_provider(place: Place, server: Vcenter) -> Any:
    """Reached through the proxy host; its certificate is shown first, then pinned."""
    body = {
        "name": "vcenter-1",
        "kind": "vmware",
        "url": f"https://127.0.0.1:{server.port}",
        "username": USER,
        "password": PASSWORD,
        "proxy_host_id": place.proxy_host_id,
    }
    shown = place.service.post("/v1/providers", body, status=201)
    assert shown["status"]["problem"]["code"] == "provider_certificate_untrusted"
    offered = shown["status"]["offered_thumbprint"]
    assert offered == server.certificate.thumbprint()
    accepted = place.service.client.patch(
        f"/v1/providers/{shown['id']}", json={"tls": {"thumbprint": offered}, "password": PASSWORD}
    ).json()
    assert accepted["status"]["state"] == "up", accepted
    return accepted


def imported(place: Place, provider: Any) -> tuple[str, Any]:
    """The import of the provider's guest, which succeeds, and the VM that it made."""
    [vm] = place.service.get(f"/v1/providers/{provider['id']}/vms", name="guest")["items"]
    store = place.sources.parent / "store"
    store.mkdir()
    body = {
        "source": {"kind": "provider_vm", "provider_id": provider["id"], "vm_id": vm["id"]},
        "storage_domain_id": place.domain("store", "directory", store),
    }

    import_id = place.service.post("/v1/imports", body, status=202)["id"]
    ended = place.service.wait(import_id, seconds=CONVERSION_SECONDS)

    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    return import_id, place.service.get(f"/v1/vms/{ended['vm_id']}")


def test_a_guest_of_a_pinned_vcenter_becomes_a_vm_that_boots(place: Place, server: Vcenter) -> None:
    """Only the pinned certificate is trusted while it is read: nobody has signed it, and nothing says
    `no_verify`.
    """
    provider = pinned_provider(place, server)
    import_id, made = imported(place, provider)
    assert [nic["mac"] for nic in made["nics"]] == ["00:0c:29:00:00:07"]
    [disk_id] = made["disk_ids"]
    disk = place.service.get(f"/v1/disks/{disk_id}")
    log = place.service.client.get(f"/v1/imports/{import_id}/log").text
    assert "no_verify" not in log
    assert PASSWORD not in log
    assert place.left_behind() == []
    boots_to_its_login_prompt([Path(disk["location"]["path"])])


def provider_by_ssh(place: Place, esxi: Vcenter) -> Any:
    """Its SSH host key is shown first, then accepted."""
    ssh = {"username": "root", "private_key": place.sshd.client_key.get_secret_value()}
    body = {
        "name": "esxi-1",
        "kind": "vmware",
        "url": f"https://127.0.0.1:{esxi.port}",
        "username": USER,
        "password": PASSWORD,
        "tls": {"ca_pem": esxi.certificate.pem},
        "ssh": ssh,
        "options": {"transport": "ssh", "ssh_port": place.sshd.port},
    }
    shown = place.service.post("/v1/providers", body, status=201)
    assert (shown["status"]["state"], shown["status"]["offered_host_key"]) == (
        "unverified",
        place.sshd.host_key,
    )
    change = {"ssh": {**ssh, "host_key": place.sshd.host_key}, "password": PASSWORD}
    accepted = place.service.client.patch(f"/v1/providers/{shown['id']}", json=change).json()
    assert accepted["status"]["state"] == "up", accepted
    return accepted


def test_a_guest_on_an_esxi_host_s_datastore_is_read_by_ssh(place: Place, esxi: Vcenter) -> None:
    provider = provider_by_ssh(place, esxi)
    import_id, made = imported(place, provider)
    [disk_id] = made["disk_ids"]
    disk = place.service.get(f"/v1/disks/{disk_id}")
    timeline = place.service.get(f"/v1/imports/{import_id}/timeline")["items"]
    [started] = [item["details"]["command"] for item in timeline if item["kind"] == "virt_v2v_started"]
    assert {"vmx", "ssh"} <= set(started)
    assert place.left_behind() == []
    boots_to_its_login_prompt([Path(disk["location"]["path"])])
