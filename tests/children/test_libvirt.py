"""The program that asks libvirt, with libvirt's own test driver: real calls, no daemon."""

from pathlib import Path
from typing import Any

import pytest

from app.children.answering import Code
from app.concerns import assess
from app.models.vm import DiskFault, PowerState, VmConfig
from tests.support.libvirt import PAUSED, RUNNING, asked, domain, node, qcow2, refusal, told_by_the_program

OFF = "11111111-1111-4111-8111-111111111111"
UP = "22222222-2222-4222-8222-222222222222"
STOPPED = "33333333-3333-4333-8333-333333333333"
SAVED = "44444444-4444-4444-8444-444444444444"
SNAPSHOT = (
    "<test:domainsnapshot><name>s1</name><state>shutoff</state>"
    "<creationTime>1</creationTime><active>0</active></test:domainsnapshot>"
)
POOL = """<pool type='dir'><name>images</name><target><path>/srv/pool</path></target>
  <volume type='file'><name>data.img</name><capacity>1048576</capacity></volume></pool>"""


def volume(name: str, target: str) -> str:
    return (
        "<disk type='volume' device='disk'><driver name='qemu' type='raw'/>"
        f"<source pool='images' volume='{name}'/><target dev='{target}' bus='virtio'/></disk>"
    )


@pytest.fixture
def url(tmp_path: Path) -> dict[str, Any]:
    path = node(
        tmp_path / "node.xml",
        domain("off & on", OFF, disks=["/srv/a.qcow2", volume("data.img", "vdx"), volume("none.img", "vdy")]),
        domain("up", UP, disks=["/srv/b.qcow2"], state=RUNNING),
        domain("stopped", STOPPED, state=PAUSED),
        domain("saved", SAVED, told=f"<test:hasmanagedsave>1</test:hasmanagedsave>{SNAPSHOT}"),
        pools=POOL,
    )
    return {"scheme": "test", "path": str(path)}


@pytest.fixture
def vms(url: dict[str, Any]) -> dict[str, VmConfig]:
    found = [vm["config"] for vm in asked("list", url)["vms"]]
    return {config["id"]: VmConfig.model_validate(config) for config in found}


def test_it_tells_what_answers() -> None:
    found = asked("check", {"scheme": "test", "path": "/default"})
    assert found["product"].startswith("TEST (libvirt ")
    assert found["version"].count(".") == 2


def test_every_vm_is_listed_with_its_state(vms: dict[str, VmConfig]) -> None:
    states = {uuid: config.state for uuid, config in vms.items()}
    assert states == {
        OFF: PowerState.DOWN,
        UP: PowerState.UP,
        STOPPED: PowerState.SUSPENDED,
        SAVED: PowerState.SUSPENDED,
    }
    assert {uuid for uuid, config in vms.items() if config.has_snapshots} == {SAVED}
    assert vms[SAVED].settings["managed_save"] == "true"


def test_volumes_are_where_their_pool_says(vms: dict[str, VmConfig]) -> None:
    found = [(disk.id, disk.path, disk.fault) for disk in vms[OFF].disks]
    assert found == [
        ("vda", "/srv/a.qcow2", None),
        ("vdx", "/srv/pool/data.img", None),
        ("vdy", None, DiskFault.VOLUME_MISSING),
    ]
    assert "disk_volume_missing" in {concern.code for concern in assess(vms[OFF])}


def test_one_vm_is_told_as_in_the_list(url: dict[str, Any], vms: dict[str, VmConfig]) -> None:
    for uuid, config in vms.items():
        found = asked("vm", url, vm_id=uuid)
        assert found["path"] is None
        assert VmConfig.model_validate(found["config"]) == config


@pytest.mark.parametrize("vm_id", ["99999999-9999-4999-8999-999999999999", "no uuid", ""])
def test_a_vm_that_is_not_there_is_told(url: dict[str, Any], vm_id: str) -> None:
    assert refusal("vm", url, vm_id=vm_id).code is Code.VM_NOT_FOUND


def test_a_vm_that_cannot_be_read_is_listed_with_the_reason(tmp_path: Path) -> None:
    deep = "<x>" * 101 + "</x>" * 101
    inside = f"<metadata><a:deep xmlns:a='http://a.example/'>{deep}</a:deep></metadata>"
    odd, fine = domain("odd", OFF, inside=inside), domain("fine", UP, disks=[qcow2("/srv/a", "vda")])
    path = node(tmp_path / "node.xml", odd, fine)
    vms = asked("list", {"scheme": "test", "path": str(path)})["vms"]
    found = {vm["config"]["name"]: (vm["config"]["id"], vm["config"]["unreadable"]) for vm in vms}
    assert found == {"odd": (OFF, "The XML is nested deeper than 100 levels."), "fine": (UP, None)}
    assert {vm["config"]["name"]: vm["is_whole"] for vm in vms} == {"odd": False, "fine": True}


def test_what_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    way = {"kind": "socket", "path": str(tmp_path / "none")}
    url = {"scheme": "qemu+ssh", "host": "kvm.example", "port": 22, "path": "/system"}
    assert refusal("check", url, way=way).code is Code.UNREACHABLE


def test_without_a_tunnel_no_program_is_started_to_log_in_to_a_host() -> None:
    url = {"scheme": "qemu+ssh", "host": "kvm.example", "port": 22, "path": "/system"}
    assert refusal("check", url).code is Code.REFUSED


def test_the_program_answers_in_json_and_says_nothing_else() -> None:
    found = told_by_the_program("vm", {"scheme": "test", "path": "/default"}, vm_id=OFF)
    assert found == {"error": {"code": "vm_not_found", "detail": "There is no VM with this UUID."}}
