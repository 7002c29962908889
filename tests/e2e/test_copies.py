"""Copies without conversion through the whole service over HTTP, with real sshd, Redis and qemu-img."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from defusedxml.ElementTree import fromstring

from tests.e2e.conftest import QUICK
from tests.e2e.test_imports import assert_nothing_is_left, new_disk, new_domain, start
from tests.support.copies import compared
from tests.support.ovas import filled_vmdk, ovf, pack
from tests.support.ovirt_domains import Domain, Volume, engine_ovf, make_domain
from tests.support.service import Place, running_place
from tests.support.sshd import HOST_PATH

pytestmark = pytest.mark.timeout(180)

MIB = 2**20
HELD_QEMU_IMG = """#!/bin/sh
# Begins the copy, and while `hold` is there writes no more of it than its first percents.
case "$1" in convert)
    [ -e {programs}/hold ] && printf '    (3.00/100%%)\\r'
    while [ -e {programs}/hold ]; do sleep 0.1; done
esac
exec /usr/bin/qemu-img "$@"
"""
COPY = {"conversion": {"mode": "copy"}}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One service is enough here: what is saved of a copy is what is saved of a conversion.

    Its host's qemu-img doesn't end a copy while `hold` lies in the program directory.
    """
    with tempfile.TemporaryDirectory(prefix="e2e-", dir="/tmp") as name:
        programs = Path(name) / "held"
        programs.mkdir()
        (programs / "qemu-img").write_text(HELD_QEMU_IMG.format(programs=programs))
        (programs / "qemu-img").chmod(0o755)
        with running_place(Path(name), environment=QUICK, path=f"{programs}:{HOST_PATH}") as found:
            yield found


@pytest.fixture
def hold(place: Place) -> Iterator[Path]:
    found = place.sources.parent / "held" / "hold"
    found.touch()
    yield found
    found.unlink(missing_ok=True)


def fill(path: Path) -> Path:
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -q -P 9 1M 3M", str(path)], check=True)
    return path


def disks_of(place: Place, ended: Any) -> list[Any]:
    vm = place.service.get(f"/v1/vms/{ended['vm_id']}")
    return [place.service.get(f"/v1/disks/{disk_id}") for disk_id in vm["disk_ids"]]


@pytest.mark.parametrize("kind", ["directory", "ovirt_data"])
def test_a_disk_is_copied_as_it_is_and_virt_v2v_is_not_asked(place: Place, kind: str) -> None:
    domain_id, store = new_domain(place, kind)
    source, before = fill(new_disk(place)), place.starts()
    ended = place.service.wait(start(place, source, domain_id, **COPY))
    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    assert [disk["percent"] for disk in ended["disk_progress"]] == [100]
    [disk] = disks_of(place, ended)
    path = Path(disk["location"]["path"])
    assert path.is_relative_to(store)
    assert compared(source, "qcow2", path, "raw")
    kinds = [item["kind"] for item in place.service.get(f"/v1/imports/{ended['id']}/timeline")["items"]]
    assert {"copy_started", "copy_ended"} <= set(kinds)
    log = place.service.client.get(f"/v1/imports/{ended['id']}/log").text
    assert "Copying disk 1/1" in log
    assert place.starts() == before
    assert place.left_behind() == []


@pytest.mark.parametrize("compressed", [False, True])
def test_the_disks_of_an_ova_are_copied_from_where_they_lie(
    place: Place, tmp_path: Path, compressed: bool
) -> None:
    domain_id, _ = new_domain(place)
    name, data = uuid4().hex[:8], os.urandom(MIB)
    files = {"web.ovf": ovf(name=name), "disk1.vmdk": filled_vmdk(tmp_path, data)}
    source = pack(place.sources / f"{name}.ova", files, compressed=compressed)
    body = {"source": {"kind": "ova", "path": str(source)}, "storage_domain_id": domain_id, **COPY}
    ended = place.service.wait(place.service.post("/v1/imports", body, status=202)["id"])
    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    [disk] = disks_of(place, ended)
    assert Path(disk["location"]["path"]).read_bytes() == data
    assert place.left_behind() == []


def test_each_disk_is_copied_in_its_own_way(place: Place) -> None:
    domain_id, _ = new_domain(place)
    paths = [fill(new_disk(place)) for _ in range(2)]
    disks = "".join(
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{path}'/>"
        f"<target dev='vd{letter}' bus='virtio'/></disk>"
        for path, letter in zip(paths, "ab", strict=True)
    )
    xml = place.sources / f"{uuid4().hex[:8]}.xml"
    xml.write_text(f"<domain type='kvm'><name>{xml.stem}</name><devices>{disks}</devices></domain>")
    body = {
        "source": {"kind": "libvirt_xml", "path": str(xml)},
        "storage_domain_id": domain_id,
        "disks": [
            {"source_disk_id": "vda", "format": "qcow2", "bus": "sata"},
            {"source_disk_id": "vdb", "allocation": "preallocated"},
        ],
        **COPY,
    }
    ended = place.service.wait(place.service.post("/v1/imports", body, status=202)["id"])
    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    first, second = disks_of(place, ended)
    assert (first["format"], second["format"]) == ("qcow2", "raw")
    assert second["actual_bytes"] >= second["capacity_bytes"] > first["actual_bytes"]
    for disk, path in zip((first, second), paths, strict=True):
        assert compared(path, "qcow2", Path(disk["location"]["path"]), disk["format"])
    metadata = place.service.client.get(f"/v1/vms/{ended['vm_id']}/metadata")
    buses = [target.get("bus") for target in fromstring(metadata.content).iter("target")]
    assert buses == ["sata", "virtio"]


def test_the_check_shows_what_would_be_run(place: Place) -> None:
    domain_id, _ = new_domain(place)
    source = new_disk(place)
    body = {"source": {"kind": "disk", "path": str(source)}, "storage_domain_id": domain_id, **COPY}
    answer = place.service.post("/v1/imports/check", body)
    assert answer["importable"]
    assert answer["command"][:2] == ["qemu-img", "convert"]
    assert any(str(source) in word for word in answer["command"])


def test_what_only_a_conversion_can_do_is_refused_at_once(place: Place) -> None:
    domain_id, _ = new_domain(place)
    conversion = {"mode": "copy", "root": "/dev/sda2", "luks_keys": ["x"]}
    body = {"source": {"kind": "disk", "path": "/x"}, "storage_domain_id": domain_id}
    answer = place.service.post("/v1/imports", {**body, "conversion": conversion}, status=422)
    assert answer["code"] == "unsupported_property"
    assert [error["pointer"] for error in answer["errors"]] == ["/conversion/root", "/conversion/luks_keys"]


def test_a_copy_that_fails_leaves_nothing(place: Place) -> None:
    domain_id, store = new_domain(place)
    source = new_disk(place, name=f"{uuid4().hex[:8]}.qcow2")
    with source.open("r+b") as file:
        # Where qemu finds the table of the disk's tables.
        file.seek(40)
        file.write(b"\0" * 7 + b"\x01")
    ended = place.service.wait(start(place, source, domain_id, **COPY))
    assert ended["state"] == "failed"
    assert_nothing_is_left(place, ended["id"], store)


def copying_at_3_percent(found: Any) -> bool:
    return found["stage"] == "copying" and found["progress"]["percent"] == 3


@pytest.mark.usefixtures("hold")
@pytest.mark.parametrize("kind", ["directory", "ovirt_data"])
def test_a_cancel_in_the_middle_of_a_copy_leaves_nothing(place: Place, kind: str) -> None:
    domain_id, store = new_domain(place, kind)
    import_id = start(place, fill(new_disk(place)), domain_id, **COPY)
    place.service.wait_for(import_id, copying_at_3_percent)
    place.service.post(f"/v1/imports/{import_id}/cancel", status=202)
    assert place.service.wait(import_id)["state"] == "cancelled"
    assert_nothing_is_left(place, import_id, store / "images" if kind == "ovirt_data" else store)


def test_a_killed_worker_s_copy_is_adopted_and_ran_once(place: Place, hold: Path) -> None:
    domain_id, _ = new_domain(place)
    source = fill(new_disk(place))
    import_id = start(place, source, domain_id, **COPY)
    place.service.wait_for(import_id, copying_at_3_percent)
    place.service.kill_worker()
    hold.unlink()
    ended = place.service.wait(import_id)
    assert (ended["state"], len(ended["attempts"])) == ("succeeded", 1), ended["problem"]
    [disk] = disks_of(place, ended)
    assert compared(source, "qcow2", Path(disk["location"]["path"]), "raw")
    log = place.service.client.get(f"/v1/imports/{import_id}/log").text
    assert log.count("Copying disk 1/1") == 1


def export_vm(place: Place, **facts: str) -> tuple[dict[str, str], Volume]:
    """A VM on an export domain, its only disk two volumes; and the newer one."""
    parent = place.sources / uuid4().hex[:8]
    parent.mkdir()
    domain: Domain = make_domain(parent)
    below = domain.add_volume("qcow2", VOLTYPE="INTERNAL", size_bytes=8 * MIB)
    top = domain.add_volume("qcow2", below=below, size_bytes=8 * MIB, **facts)
    vm_id = uuid4()
    domain.add_vm(vm_id, engine_ovf(vm_id, [top], name=f"ovirt {parent.name}"))
    return {"kind": "export_domain", "path": str(domain.path), "vm_id": str(vm_id)}, top


@pytest.mark.parametrize("kind", ["directory", "ovirt_data"])
def test_a_vm_of_an_export_domain_is_copied_with_its_whole_chain(place: Place, kind: str) -> None:
    domain_id, _ = new_domain(place, kind)
    source, top = export_vm(place)
    body = {"source": source, "storage_domain_id": domain_id, "disk_defaults": {"format": "qcow2"}}
    before = place.starts()
    ended = place.service.wait(place.service.post("/v1/imports", body, status=202)["id"])
    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    assert ended["spec"]["conversion"]["mode"] == "copy"
    [disk] = disks_of(place, ended)
    assert (disk["format"], disk["capacity_bytes"]) == ("qcow2", 8 * MIB)
    assert compared(top.path, "qcow2", Path(disk["location"]["path"]), "qcow2")
    vm = place.service.get(f"/v1/vms/{ended['vm_id']}")
    assert (vm["cpu_count"], vm["memory_bytes"], vm["firmware"]) == (4, 2 * 2**30, "uefi")
    assert [(nic["mac"], nic["network"]) for nic in vm["nics"]] == [("56:6f:00:00:00:01", "lan & wan")]
    assert place.starts() == before
    assert place.left_behind() == []


def test_a_vm_of_an_export_domain_is_converted_if_that_is_asked_for(place: Place) -> None:
    domain_id, _ = new_domain(place)
    source, _ = export_vm(place)
    body = {"source": source, "storage_domain_id": domain_id, "conversion": {"mode": "convert"}}
    before = place.starts()
    ended = place.service.wait(place.service.post("/v1/imports", body, status=202)["id"])
    assert ended["state"] == "succeeded", ended["problem"]
    assert len(place.starts()) == len(before) + 1


def test_an_illegal_volume_is_copied_only_if_its_concern_is_accepted(place: Place) -> None:
    domain_id, _ = new_domain(place)
    source, _ = export_vm(place, LEGALITY="ILLEGAL")
    body = {"source": source, "storage_domain_id": domain_id}
    answer = place.service.post("/v1/imports/check", body)
    assert not answer["importable"]
    assert "disk_illegal" in [concern["code"] for concern in answer["concerns"]]
    ended = place.service.wait(place.service.post("/v1/imports", body, status=202)["id"])
    assert ended["problem"]["code"] == "concerns_not_accepted"
    accepting = {**body, "accept_concerns": ["disk_illegal"]}
    ended = place.service.wait(place.service.post("/v1/imports", accepting, status=202)["id"])
    assert ended["state"] == "succeeded", ended["problem"]
