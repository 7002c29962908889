"""An import looked at on its proxy host by the real agent: what it is, what it needs, what refuses it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.actions.examine import Examination, examine, refusals, with_properties
from app.errors import SourceNotFoundError, UnknownReferenceError
from app.models.proxy_hosts import HostStatus, ProxyHost
from app.models.storage_domains import StorageDomain
from app.models.vm import ConcernSeverity, SourceDisk, VmConfig
from app.proxy.agent_client import HostAgent
from app.services.placement import WORK_BYTES_AT_LEAST
from app.services.specs import VmImportCreate
from tests.support.images import MIB, make_image
from tests.support.requests import request

GIB = 2**30


def host(root: Path, *, free_bytes: int = 100 * GIB) -> ProxyHost:
    return ProxyHost(
        data_center_id=UUID(int=1),
        name="proxy-1",
        address="192.0.2.1",
        port=22,
        username="root",
        sudo=False,
        work_dir="/work",
        virt_v2v_path="virt-v2v",
        source_roots=(str(root),),
        status=HostStatus(free_bytes=free_bytes),
    )


def domain(settings: Mapping[str, Any], kind: str = "directory") -> StorageDomain:
    return StorageDomain(data_center_id=UUID(int=1), name="store", kind=kind, settings=dict(settings))


def source(root: Path, *names: str) -> dict[str, str]:
    """A libvirt XML with a disk of 4 MiB for each name."""
    disks = ""
    for name in names:
        image = make_image(root / f"{name}.img", "raw")
        disks += (
            f"<disk type='file'><driver type='raw'/><source file='{image}'/><target dev='{name}'/></disk>"
        )
    nic = "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='lan'/></interface>"
    (root / "web.xml").write_text(
        f"<domain><name>web</name><memory>1</memory><vcpu>1</vcpu><devices>{disks}{nic}</devices></domain>"
    )
    return {"kind": "libvirt_xml", "path": str(root / "web.xml")}


async def examined(agent: HostAgent, root: Path, wanted: VmImportCreate, **place: Any) -> Examination:
    storage = place.pop("domain", None) or domain({"path": str(root)})
    return await examine(wanted, host(root, **place), storage, agent)


def codes(found: Examination, wanted: VmImportCreate, *, work: int = 0, target: int = 0) -> list[str]:
    return [error.code for error in refusals(found, wanted, others_work=work, others_target=target)]


async def test_what_fits_is_not_refused(local_agent: HostAgent, tmp_path: Path) -> None:
    wanted = request(source(tmp_path, "vda"))
    found = await examined(local_agent, tmp_path, wanted)
    assert codes(found, wanted) == []
    assert found.work_bytes == WORK_BYTES_AT_LEAST


async def test_a_copy_needs_no_room_for_virt_v2v_and_takes_the_bus_that_is_asked_for(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    asked = {"conversion": {"mode": "copy"}, "disks": [{"source_disk_id": "vda", "bus": "sata"}]}
    found = await examined(local_agent, tmp_path, request(source(tmp_path, "vda", "vdb"), **asked))
    assert found.work_bytes == 0
    assert [disk.bus for disk in found.config.disks] == ["sata", None]
    assert [disk.bus for disk in found.source.disks] == [None, None]


async def test_only_a_preallocated_disk_needs_its_whole_size(local_agent: HostAgent, tmp_path: Path) -> None:
    disks = source(tmp_path, "vda", "vdb")
    sparse = await examined(local_agent, tmp_path, request(disks))
    preallocated = await examined(
        local_agent, tmp_path, request(disks, disk_defaults={"allocation": "preallocated"})
    )
    assert sparse.target_bytes == sum(disk.used_bytes or 0 for disk in sparse.config.disks) < MIB
    assert preallocated.target_bytes == 8 * MIB


async def test_a_rehearsal_needs_no_room_on_a_domain(local_agent: HostAgent, tmp_path: Path) -> None:
    wanted = request(source(tmp_path, "vda"), disk_defaults={"allocation": "preallocated"})
    found = await examined(local_agent, tmp_path, wanted, domain=domain({}, "null"))
    assert found.target_bytes == 0
    assert codes(found, wanted) == []


async def test_a_disk_that_is_left_out_is_not_in_the_vm(local_agent: HostAgent, tmp_path: Path) -> None:
    wanted = request(source(tmp_path, "vda", "vdb"), disks=[{"source_disk_id": "vda", "include": False}])
    found = await examined(local_agent, tmp_path, wanted)
    assert [disk.id for disk in found.config.disks] == ["vdb"]
    assert [disk.id for disk in found.source.disks] == ["vda", "vdb"]


async def test_a_vm_without_a_disk_left_is_a_critical_concern(local_agent: HostAgent, tmp_path: Path) -> None:
    wanted = request(source(tmp_path, "vda"), disks=[{"source_disk_id": "vda", "include": False}])
    found = await examined(local_agent, tmp_path, wanted)
    assert "no_disks" in [
        concern.code for concern in found.concerns if concern.severity is ConcernSeverity.CRITICAL
    ]
    assert codes(found, wanted) == ["concerns_not_accepted"]
    accepting = wanted.model_copy(update={"accept_concerns": ("no_disks",)})
    assert codes(found, accepting) == []


async def test_an_unknown_disk_is_told_with_its_pointer(local_agent: HostAgent, tmp_path: Path) -> None:
    wanted = request(source(tmp_path, "vda"), disks=[{"source_disk_id": "vda"}, {"source_disk_id": "vdz"}])
    with pytest.raises(UnknownReferenceError) as raised:
        await examined(local_agent, tmp_path, wanted)
    assert [fault.pointer for fault in raised.value.errors] == ["/disks/1/source_disk_id"]


async def test_an_unknown_mac_address_is_told_with_its_pointer(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    wanted = request(source(tmp_path, "vda"), nics=[{"mac": "00:00:00:00:00:09", "target": "lan"}])
    with pytest.raises(UnknownReferenceError) as raised:
        await examined(local_agent, tmp_path, wanted)
    assert [fault.pointer for fault in raised.value.errors] == ["/nics/0/mac"]


async def test_a_missing_source_is_not_found(local_agent: HostAgent, tmp_path: Path) -> None:
    wanted = request({"kind": "disk", "path": str(tmp_path / "none.img")})
    with pytest.raises(SourceNotFoundError):
        await examined(local_agent, tmp_path, wanted)


async def test_a_domain_that_can_not_be_used_is_refused(local_agent: HostAgent, tmp_path: Path) -> None:
    wanted = request(source(tmp_path, "vda"))
    found = await examined(local_agent, tmp_path, wanted, domain=domain({"path": str(tmp_path / "none")}))
    assert codes(found, wanted) == ["storage_domain_unusable"]


async def test_what_the_chosen_domain_can_not_honour_is_refused(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    wanted = request(source(tmp_path, "vda"), disks=[{"source_disk_id": "vda", "format": "qcow2"}])
    found = await examined(local_agent, tmp_path, wanted)
    (refused,) = refusals(found, wanted, others_work=0, others_target=0)
    assert [fault.pointer for fault in refused.errors] == ["/disks/0/format"]


async def test_bytes_that_others_hold_are_taken(local_agent: HostAgent, tmp_path: Path) -> None:
    wanted = request(source(tmp_path, "vda"), disk_defaults={"allocation": "preallocated"})
    found = await examined(local_agent, tmp_path, wanted, free_bytes=2 * GIB)
    assert codes(found, wanted, work=GIB) == []
    assert codes(found, wanted, work=GIB + 1) == ["no_room"]
    assert codes(found, wanted, target=found.domain.free_bytes or 0) == ["no_room"]


def test_what_the_request_sets_replaces_what_the_source_says() -> None:
    disk = SourceDisk(id="vda", label="vda", capacity_bytes=1)
    config = VmConfig(id="a", name="a", cpu_count=1, memory_bytes=GIB, os="old", disks=(disk,))
    wanted = request(vm={"name": "b", "memory_bytes": 2 * GIB, "description": ""})
    made = with_properties(config, wanted)
    assert (made.name, made.cpu_count, made.memory_bytes, made.os) == ("b", 1, 2 * GIB, "old")
    assert made.description == ""  # given, and not None
