"""Imports with the real virt-v2v of a real guest, through the whole service over HTTP."""

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from defusedxml.ElementTree import fromstring

from app.proxy.agent.processes import MARKER
from tests.support.guest import Guest, boots_to_its_login_prompt, data_is_whole
from tests.support.ovas import ovf_collection, pack, vmdk
from tests.support.ovirt import make_domain
from tests.support.ovirt_domains import engine_ovf
from tests.support.ovirt_domains import make_domain as make_export_domain
from tests.support.service import Place, running_place

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

MIB = 2**20
CONVERSION_SECONDS = 420
"""How long an import may take on a busy machine without KVM."""
ENVIRONMENT = {"V2V_IMPORT_LOG_LEVEL": "info", "V2V_IMPORT_STOP_GRACE_SECONDS": "5"}
VIRT_V2V = """#!/bin/sh
PATH={programs}:$PATH exec /usr/bin/virt-v2v "$@"
"""
NBDCOPY = """#!/bin/sh
# Copies; while `slow` is there, in small pieces, one after the other: the tests have to meet a copy.
[ -e {programs}/slow ] && set -- "$@" --connections=1 --requests=1 --request-size=4096
exec /usr/bin/nbdcopy "$@"
"""
VMX = """config.version = "8"
virtualHW.version = "10"
displayName = "web"
guestOS = "debian10-64"
memSize = "1024"
numvcpus = "2"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "web.vmdk"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.networkName = "VM Network"
"""


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    """The host's virt-v2v, and the nbdcopy that it starts."""
    with tempfile.TemporaryDirectory(prefix="real-", dir="/tmp") as name:
        for program, text in {"virt-v2v": VIRT_V2V, "nbdcopy": NBDCOPY}.items():
            (Path(name) / program).write_text(text.format(programs=name))
            (Path(name) / program).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def real_place(programs: Path, guest: Guest) -> Iterator[Place]:
    """A service and a proxy host that may read the guest."""
    with tempfile.TemporaryDirectory(prefix="e2e-", dir="/tmp") as name:
        host = {
            "source_roots": [f"{name}/sources", str(guest.directory)],
            "environment": {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"},
        }
        program = str(programs / "virt-v2v")
        with running_place(Path(name), environment=ENVIRONMENT, virt_v2v_path=program, host=host) as place:
            yield place


@pytest.fixture
def slow_copy(programs: Path) -> Iterator[None]:
    (programs / "slow").touch()
    yield
    (programs / "slow").unlink()


def new_domain(place: Place, kind: str = "directory") -> tuple[str, Path]:
    """A storage domain of this test's own: its id and its directory."""
    store = place.sources.parent / f"store-{uuid4().hex[:8]}"
    store.mkdir()
    path = make_domain(store) if kind == "ovirt_data" else store
    return place.domain(store.name, kind, path), path


def start(place: Place, source: dict[str, str], domain_id: str, **more: Any) -> str:
    name = f"vm-{uuid4().hex[:8]}"
    body = {"source": source, "storage_domain_id": domain_id, "vm": {"name": name}, **more}
    made: str = place.service.post("/v1/imports", body, status=202)["id"]
    return made


def disk_at(path: Path) -> dict[str, str]:
    return {"kind": "disk", "path": str(path)}


def wait(place: Place, import_id: str) -> Any:
    return place.service.wait(import_id, seconds=CONVERSION_SECONDS)


def wait_until_it_copies(place: Place, import_id: str) -> Any:
    def copies(found: Any) -> bool:
        assert found["state"] in {"queued", "running"}, found["problem"]
        return (found["progress"]["percent"] or 0) > 3

    return place.service.wait_for(import_id, copies, seconds=CONVERSION_SECONDS)


def image_info(path: str) -> Any:
    told = subprocess.run(["qemu-img", "info", "--output=json", path], check=True, capture_output=True)
    return json.loads(told.stdout)


def processes_on(place: Place) -> dict[int, str]:
    """What virt-v2v is on the proxy host, with all that it started: process ids and programs."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (process / "environ").read_bytes()
            if MARKER.encode() in environment and bytes(place.work_dir) in environment:
                found[int(process.name)] = (process / "comm").read_text().strip()
    return found


def assert_nothing_is_left(place: Place, ended: Any, store: Path) -> None:
    assert processes_on(place) == {}
    assert place.left_behind() == []
    assert list(store.iterdir()) == []
    assert place.service.get("/v1/vms", import_id=ended["id"])["items"] == []
    owners = {disk["vm_id"] for disk in place.service.get("/v1/disks")["items"]}
    assert owners == {vm["id"] for vm in place.service.get("/v1/vms")["items"]}


def converted(source: Path, target: Path, format_name: str, options: str) -> Path:
    words = ["-f", "qcow2", "-O", format_name, "-o", options, str(source), str(target)]
    subprocess.run(["qemu-img", "convert", *words], check=True)
    return target


def assert_it_boots(place: Place, ended: Any) -> None:
    """The import has made a VM with one disk, which starts, and left nothing else."""
    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    vm = place.service.get(f"/v1/vms/{ended['vm_id']}")
    [disk] = [place.service.get(f"/v1/disks/{disk_id}") for disk_id in vm["disk_ids"]]
    boots_to_its_login_prompt([Path(disk["location"]["path"])])
    assert place.left_behind() == []


def test_an_ova_with_two_disks_becomes_a_vm_that_boots(real_place: Place, guest: Guest) -> None:
    domain_id, store = new_domain(real_place)
    import_id = start(
        real_place, {"kind": "ova", "path": str(guest.ova)}, domain_id, vm={"name": "two disks"}
    )
    ended = wait(real_place, import_id)
    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    assert [disk["percent"] for disk in ended["disk_progress"]] == [100, 100]
    vm = real_place.service.get(f"/v1/vms/{ended['vm_id']}")
    disks = [real_place.service.get(f"/v1/disks/{disk_id}") for disk_id in vm["disk_ids"]]
    assert [disk["state"] for disk in disks] == ["ok", "ok"]
    paths = [Path(disk["location"]["path"]) for disk in disks]
    assert all(path.is_relative_to(store) for path in paths)
    for disk, path in zip(disks, paths, strict=True):
        info = image_info(str(path))
        assert (info["format"], info["virtual-size"]) == ("raw", disk["capacity_bytes"])
        assert disk["actual_bytes"] == path.stat().st_blocks * 512
    metadata = fromstring(real_place.service.client.get(f"/v1/vms/{vm['id']}/metadata").content)
    assert metadata.findtext("name") == "two disks"
    assert [found.get("file") for found in metadata.iterfind("devices/disk/source")] == [
        str(path) for path in paths
    ]
    assert len(metadata.findall("devices/interface")) == 1
    assert real_place.left_behind() == []
    assert data_is_whole(paths[1])
    boots_to_its_login_prompt(paths)


def test_a_disk_fills_the_volume_of_an_ovirt_data_domain(real_place: Place, guest: Guest) -> None:
    domain_id, domain = new_domain(real_place, "ovirt_data")
    more = {"disk_defaults": {"format": "qcow2", "allocation": "sparse"}, "vm": {"name": "one disk"}}
    ended = wait(real_place, start(real_place, disk_at(guest.root_disk), domain_id, **more))
    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    vm = real_place.service.get(f"/v1/vms/{ended['vm_id']}")
    disk = real_place.service.get(f"/v1/disks/{vm['disk_ids'][0]}")
    volume = Path(disk["location"]["path"])
    info = image_info(str(volume))
    assert volume.is_relative_to(domain / "images")
    assert (info["format"], info["virtual-size"]) == ("qcow2", disk["capacity_bytes"])
    assert "LEGALITY=LEGAL" in volume.with_name(f"{volume.name}.meta").read_text()
    assert (volume.stat().st_uid, volume.stat().st_gid) == (36, 36)
    metadata = fromstring(real_place.service.client.get(f"/v1/vms/{vm['id']}/metadata").content)
    assert metadata.findtext("Content/Name") == "one disk"
    assert real_place.left_behind() == []


@pytest.mark.long
def test_a_vmx_beside_its_flat_disk_becomes_a_vm_that_boots(real_place: Place, guest: Guest) -> None:
    domain_id, _ = new_domain(real_place)
    directory = real_place.sources / "it's a VM"
    directory.mkdir()
    converted(guest.root_disk, directory / "web.vmdk", "vmdk", "subformat=monolithicFlat")
    vmx = directory / "web.vmx"
    vmx.write_text(VMX)
    ended = wait(real_place, start(real_place, {"kind": "vmx", "path": str(vmx)}, domain_id))
    assert_it_boots(real_place, ended)


@pytest.mark.long
def test_the_chosen_one_of_two_vms_in_an_ova_becomes_a_vm_that_boots(
    real_place: Place, guest: Guest, tmp_path: Path
) -> None:
    domain_id, _ = new_domain(real_place)
    disk = converted(guest.root_disk, tmp_path / "disk.vmdk", "vmdk", "subformat=streamOptimized")
    size = image_info(str(guest.root_disk))["virtual-size"]
    files = {
        "two.ovf": ovf_collection(["blank", "guest"], size_bytes=size),
        "disk1.vmdk": vmdk(tmp_path, size_bytes=size),
        "disk2.vmdk": disk.read_bytes(),
    }
    ova = pack(real_place.sources / "two VMs.ova", files)
    source = {"kind": "ova", "path": str(ova), "vm_id": "guest"}
    ended = wait(real_place, start(real_place, source, domain_id))
    assert_it_boots(real_place, ended)


@pytest.mark.long
def test_a_thin_clone_on_an_export_domain_is_converted_from_both_of_its_images(
    real_place: Place, guest: Guest
) -> None:
    domain_id, _ = new_domain(real_place)
    size = image_info(str(guest.root_disk))["virtual-size"]
    domain, vm_id = make_export_domain(real_place.sources), uuid4()
    template = domain.add_volume("qcow2", size_bytes=size, is_empty=True, VOLTYPE="SHARED")
    shutil.copy(guest.root_disk, template.path)
    clone = domain.add_volume("qcow2", below=template, image_id=uuid4(), size_bytes=size, is_empty=True)
    domain.add_vm(vm_id, engine_ovf(vm_id, [clone]).replace("<BiosType>2<", "<BiosType>1<"))
    source = {"kind": "export_domain", "path": str(domain.path), "vm_id": str(vm_id)}
    ended = wait(real_place, start(real_place, source, domain_id, conversion={"mode": "convert"}))
    assert_it_boots(real_place, ended)
    assert_it_boots(real_place, wait(real_place, start(real_place, source, domain_id)))


def test_a_disk_without_an_operating_system_fails_with_its_code(real_place: Place) -> None:
    domain_id, store = new_domain(real_place)
    blank = real_place.sources / "blank.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(blank), "16M"], check=True)
    ended = wait(real_place, start(real_place, disk_at(blank), domain_id))
    assert (ended["state"], ended["problem"]["code"]) == ("failed", "no_os_found")
    assert_nothing_is_left(real_place, ended, store)


def test_a_cancel_during_the_conversion_leaves_nothing(real_place: Place, guest: Guest) -> None:
    domain_id, store = new_domain(real_place)
    import_id = start(real_place, disk_at(guest.root_disk), domain_id)
    real_place.service.wait_for(
        import_id, lambda found: found["stage"] == "inspecting", seconds=CONVERSION_SECONDS
    )
    assert "qemu-system-x86" in " ".join(processes_on(real_place).values())
    real_place.service.post(f"/v1/imports/{import_id}/cancel", status=202)
    ended = wait(real_place, import_id)
    assert ended["state"] == "cancelled"
    assert_nothing_is_left(real_place, ended, store)


@pytest.mark.usefixtures("slow_copy")
def test_a_cancel_during_the_copy_leaves_nothing(real_place: Place, guest: Guest) -> None:
    domain_id, store = new_domain(real_place)
    import_id = start(real_place, disk_at(guest.root_disk), domain_id)
    wait_until_it_copies(real_place, import_id)
    assert "nbdcopy" in processes_on(real_place).values()
    assert list(store.rglob("*-sda"))
    real_place.service.post(f"/v1/imports/{import_id}/cancel", status=202)
    ended = wait(real_place, import_id)
    assert ended["state"] == "cancelled"
    assert_nothing_is_left(real_place, ended, store)


@pytest.mark.usefixtures("slow_copy")
def test_a_killed_worker_s_virt_v2v_is_adopted_and_ran_once(real_place: Place, guest: Guest) -> None:
    domain_id, _ = new_domain(real_place)
    import_id = start(real_place, disk_at(guest.root_disk), domain_id)
    running = wait_until_it_copies(real_place, import_id)
    before = processes_on(real_place)
    percent = running["progress"]["percent"]
    real_place.service.kill_worker()
    assert processes_on(real_place) == before
    real_place.service.wait_for(
        import_id, lambda found: found["progress"]["percent"] > percent + 1, seconds=CONVERSION_SECONDS
    )
    ended = wait(real_place, import_id)
    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    assert len(ended["attempts"]) == 1
    log = real_place.service.client.get(f"/v1/imports/{import_id}/log").text
    assert log.count("Setting up the source") == 1
    assert log.count("Copying disk 1/1") == 1
