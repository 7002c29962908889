"""VMs of oVirt on export and data domains: their chains of volumes are what the metadata says, or refused."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from app.errors import (
    AppError,
    DiskMissingError,
    InvalidSourceError,
    SourceNotAllowedError,
    SourceNotFoundError,
    SourceTruncatedError,
    UnsafeImageError,
)
from app.models.imports import ConversionMode
from app.models.vm import DiskFault, Firmware, VmConfig
from app.proxy.agent_client import HostAgent
from app.sources.base import Site
from app.sources.export_domain import ExportDomain, ExportDomainSource, list_vms
from app.v2v.copying import CopyOutput, CopyTarget
from tests.support.copies import CopyJob, compared
from tests.support.images import MIB
from tests.support.ovirt_domains import Domain, Volume, engine_ovf, make_domain
from tests.support.requests import request

VM = UUID("5f1c0b7e-3f0f-4f0e-9d2e-6d2f1f0f7a11")


@pytest.fixture
def export(tmp_path: Path) -> Domain:
    return make_domain(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Domain:
    return make_domain(tmp_path, "Data")


def spec(domain: Domain, vm_id: UUID = VM) -> ExportDomainSource:
    return ExportDomainSource(kind="export_domain", path=str(domain.path), vm_id=vm_id)


async def read(agent: HostAgent, domain: Domain, *, without: tuple[str, ...] = ()) -> VmConfig:
    roots = [str(domain.path.parent)]
    return (await ExportDomain().read(spec(domain), Site(agent, roots), without=without)).config


async def test_a_vm_is_read_with_its_disks(local_agent: HostAgent, export: Domain) -> None:
    volumes = [export.add_volume("raw"), export.add_volume("qcow2", size_bytes=8 * MIB)]
    name = 'web <1> & "co" ü'
    export.add_vm(VM, engine_ovf(VM, volumes, name=name, interfaces=("VirtIO_SCSI", "IDE")))
    found = await read(local_agent, export)
    assert (found.id, found.name, found.cpu_count, found.memory_bytes) == (str(VM), name, 4, 2 * 2**30)
    assert (found.firmware, found.os, found.description) == (Firmware.UEFI, "rhel_9x64", f"of {name}")
    assert [(nic.mac, nic.network, nic.model) for nic in found.nics] == [
        ("56:6f:00:00:00:01", "lan & wan", "virtio")
    ]
    assert [(disk.path, disk.format, disk.capacity_bytes, disk.bus) for disk in found.disks] == [
        (str(volumes[0].path), "raw", 4 * MIB, "scsi"),
        (str(volumes[1].path), "qcow2", 8 * MIB, "ide"),
    ]
    assert [disk.fault for disk in found.disks] == [None, None]


@pytest.mark.parametrize("base", ["raw", "qcow2"])
@pytest.mark.parametrize("is_clone", [False, True])
async def test_a_chain_of_volumes_is_one_disk(
    local_agent: HostAgent, export: Domain, tmp_path: Path, base: str, is_clone: bool
) -> None:
    """In one image (snapshots), or with the base in its template's (thin clones)."""
    below = export.add_volume(base, VOLTYPE="SHARED" if is_clone else "INTERNAL")
    middle = export.add_volume(
        "qcow2", below=below, image_id=uuid4() if is_clone else None, VOLTYPE="INTERNAL"
    )
    top = export.add_volume("qcow2", below=middle)
    export.add_vm(VM, engine_ovf(VM, [top]))
    (disk,) = (await read(local_agent, export)).disks
    assert [(image.path, image.format) for image in disk.chain] == [
        (str(middle.path), "qcow2"),
        (str(below.path), base),
    ]
    assert (disk.used_bytes or 0) > 3 * MIB
    job = CopyJob(local_agent)
    output = CopyOutput((CopyTarget(str(tmp_path / "made"), "raw", 4 * MIB),))
    assert await job.run([disk], output, [tmp_path]) == 0, job.log
    assert compared(top.path, "qcow2", tmp_path / "made", "raw")


async def test_the_volume_of_the_active_snapshot_is_the_disk(local_agent: HostAgent, export: Domain) -> None:
    below = export.add_volume("raw", VOLTYPE="INTERNAL")
    top = export.add_volume("qcow2", below=below)
    kinds = {below.id: "REGULAR", top.id: "ACTIVE"}
    export.add_vm(VM, engine_ovf(VM, [below, top], snapshots=kinds))
    found = await read(local_agent, export)
    assert [disk.path for disk in found.disks] == [str(top.path)]
    assert found.has_snapshots


async def test_a_detached_data_domain_keeps_its_vms_in_a_disk(local_agent: HostAgent, data: Domain) -> None:
    volume, older, newer = data.add_volume("raw"), uuid4(), VM
    stale = data.add_ovf_store({older: engine_ovf(older, [volume], name="gone")})
    os.utime(stale.path, (1, 1))
    data.add_ovf_store({newer: engine_ovf(newer, [volume])})
    assert (await read(local_agent, data)).name == "web-1"
    listed = await list_vms(str(data.path), local_agent, [str(data.path.parent)])
    assert [vm.vm_id for vm in listed] == [str(newer)]


async def test_a_store_that_was_cut_off_leaves_the_other_one(local_agent: HostAgent, data: Domain) -> None:
    volume = data.add_volume("raw")
    whole = data.add_ovf_store({VM: engine_ovf(VM, [volume])})
    os.utime(whole.path, (1, 1))
    broken = data.add_ovf_store({VM: engine_ovf(VM, [volume], name="half")})
    os.truncate(broken.path, 2000)
    assert (await read(local_agent, data)).name == "web-1"


async def test_a_data_domain_that_an_engine_has_is_told(local_agent: HostAgent, tmp_path: Path) -> None:
    attached = make_domain(tmp_path, "Data", POOL_UUID=str(uuid4()))
    attached.add_ovf_store({VM: engine_ovf(VM, [attached.add_volume("raw")])})
    assert "attached_domain" in (await read(local_agent, attached)).settings


async def test_every_vm_is_listed_one_that_is_broken_with_the_reason(
    local_agent: HostAgent, export: Domain
) -> None:
    whole, cut, missing = (UUID(int=number) for number in (1, 2, 3))
    volume, gone = export.add_volume("raw"), export.add_volume("raw")
    for vm_id, text in (
        (whole, engine_ovf(whole, [volume])),
        (cut, engine_ovf(cut, [volume])[:900]),
        (missing, engine_ovf(missing, [gone])),
    ):
        export.add_vm(vm_id, text)
    gone.path.unlink()
    (export.path / "master" / "vms" / "no-id").mkdir()
    listed = await list_vms(str(export.path), local_agent, [str(export.path.parent)])
    assert [(vm.vm_id, vm.config is None) for vm in listed] == [
        (str(whole), False),
        (str(cut), True),
        (str(missing), True),
    ]
    assert [vm.problem.code for vm in listed if vm.problem] == ["malformed_xml", "disk_missing"]


async def test_a_vm_that_is_not_there_is_told_with_those_that_are(
    local_agent: HostAgent, export: Domain
) -> None:
    export.add_vm(VM, engine_ovf(VM, [export.add_volume("raw")]))
    with pytest.raises(SourceNotFoundError, match=str(VM)):
        await ExportDomain().read(spec(export, UUID(int=9)), Site(local_agent, [str(export.path.parent)]))


@pytest.mark.parametrize("kind", ["Iso", "Master", ""])
async def test_another_class_of_domain_holds_no_vms(
    local_agent: HostAgent, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(InvalidSourceError, match="class"):
        await read(local_agent, make_domain(tmp_path, kind))


async def test_what_is_no_domain_is_told(local_agent: HostAgent, export: Domain) -> None:
    (export.path / "dom_md" / "metadata").unlink()
    with pytest.raises(InvalidSourceError, match="dom_md/metadata"):
        await read(local_agent, export)
    with pytest.raises(SourceNotAllowedError):
        await ExportDomain().read(spec(export), Site(local_agent, ["/nonexistent"]))


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({"LEGALITY": "ILLEGAL"}, DiskFault.ILLEGAL),
        ({"LEGALITY": "FAKE"}, DiskFault.ILLEGAL),
        ({"VOLTYPE": "INTERNAL"}, DiskFault.OUTDATED),
    ],
)
async def test_what_storage_says_against_a_volume_is_kept(
    local_agent: HostAgent, export: Domain, facts: dict[str, str], fault: DiskFault
) -> None:
    export.add_vm(VM, engine_ovf(VM, [export.add_volume("raw", **facts)]))
    assert (await read(local_agent, export)).disks[0].fault is fault


async def test_an_illegal_volume_below_counts_too(local_agent: HostAgent, export: Domain) -> None:
    below = export.add_volume("raw", LEGALITY="ILLEGAL", VOLTYPE="INTERNAL")
    export.add_vm(VM, engine_ovf(VM, [export.add_volume("qcow2", below=below)]))
    assert (await read(local_agent, export)).disks[0].fault is DiskFault.ILLEGAL


async def test_disks_on_another_storage_are_told_and_can_be_left_out(
    local_agent: HostAgent, export: Domain
) -> None:
    text = engine_ovf(VM, [export.add_volume("raw"), export.add_volume("raw"), export.add_volume("raw")])
    lun, cinder = export.volumes[1], export.volumes[2]
    text = text.replace(f'ovf:fileRef="{lun.ref}"', f'ovf:fileRef="{lun.ref}" ovf:lun_id="36001"')
    told = 'ovf:description="Active VM" ovf:disk_storage_type='
    file = f'ovf:id="{cinder.id}" ovf:size="1048576" {told}'
    assert file in text
    export.add_vm(VM, text.replace(f'{file}"IMAGE"', f'{file}"CINDER"'))
    found = await read(local_agent, export)
    assert [(disk.fault, disk.path is None) for disk in found.disks] == [
        (None, False),
        (DiskFault.ELSEWHERE, True),
        (DiskFault.ELSEWHERE, True),
    ]
    assert [disk.is_raw_device for disk in found.disks] == [None, True, None]


# --- what is broken, or meant to harm ----------------------------------------------------------------------


def truncated_meta(domain: Domain, top: Volume, below: Volume) -> None:
    top.meta.write_text(top.meta.read_text()[:60])


def garbage_meta(domain: Domain, top: Volume, below: Volume) -> None:
    top.meta.write_bytes(b"\xff\x00PUUID=../../etc/passwd\nFORMAT=COW\nEOF\n")


def long_meta(domain: Domain, top: Volume, below: Volume) -> None:
    top.meta.write_text("A=" + "b" * 70_000)


def circle(domain: Domain, top: Volume, below: Volume) -> None:
    below.meta.write_text(below.meta.read_text().replace(f"PUUID={UUID(int=0)}", f"PUUID={top.id}"))


def missing_parent(domain: Domain, top: Volume, below: Volume) -> None:
    below.path.unlink()


def missing_meta(domain: Domain, top: Volume, below: Volume) -> None:
    below.meta.unlink()


def other_parent(domain: Domain, top: Volume, below: Volume) -> None:
    """The metadata names a volume that the header doesn't."""
    other = domain.add_volume("raw", image_id=top.image_id)
    top.meta.write_text(top.meta.read_text().replace(f"PUUID={below.id}", f"PUUID={other.id}"))


def no_parent(domain: Domain, top: Volume, below: Volume) -> None:
    """The header stands on what the metadata doesn't know of."""
    top.meta.write_text(top.meta.read_text().replace(f"PUUID={below.id}", f"PUUID={UUID(int=0)}"))


def short_base(domain: Domain, top: Volume, below: Volume) -> None:
    os.truncate(below.path, 3 * MIB)


def linked_volume(domain: Domain, top: Volume, below: Volume) -> None:
    outside = domain.path.parent / "outside"
    below.path.rename(outside)
    below.path.symlink_to(outside)


def linked_meta(domain: Domain, top: Volume, below: Volume) -> None:
    outside = domain.path.parent / "outside"
    top.meta.rename(outside)
    top.meta.symlink_to(outside)


@pytest.mark.parametrize(
    ("harm", "error"),
    [
        (truncated_meta, InvalidSourceError),
        (garbage_meta, InvalidSourceError),
        (long_meta, InvalidSourceError),
        (circle, InvalidSourceError),
        (missing_parent, DiskMissingError),
        (missing_meta, DiskMissingError),
        (other_parent, UnsafeImageError),
        (no_parent, UnsafeImageError),
        (short_base, SourceTruncatedError),
        (linked_volume, UnsafeImageError),
        (linked_meta, UnsafeImageError),
    ],
)
async def test_a_broken_chain_is_refused(
    local_agent: HostAgent,
    export: Domain,
    harm: Callable[[Domain, Volume, Volume], None],
    error: type[AppError],
) -> None:
    below = export.add_volume("raw", VOLTYPE="INTERNAL")
    top = export.add_volume("qcow2", below=below)
    export.add_vm(VM, engine_ovf(VM, [top]))
    harm(export, top, below)
    with pytest.raises(error):
        await read(local_agent, export)
    assert (await read(local_agent, export, without=(top.id,))).disks[0].path == top.ref


@pytest.mark.parametrize("backing", ["/etc/passwd", "../../../outside", "nbd:127.0.0.1:10809", "json:{}"])
async def test_a_header_that_leads_outside_is_unsafe(
    local_agent: HostAgent, export: Domain, backing: str
) -> None:
    (export.path.parent / "outside").write_bytes(bytes(MIB))
    below = export.add_volume("raw", VOLTYPE="INTERNAL")
    export.add_vm(VM, engine_ovf(VM, [export.add_volume("qcow2", below=below, backing=backing)]))
    with pytest.raises(UnsafeImageError):
        await read(local_agent, export)


async def test_a_base_that_a_guest_made_to_look_like_another_format_stays_raw(
    local_agent: HostAgent, export: Domain, tmp_path: Path
) -> None:
    """Vdsm says raw, and so it is opened."""
    below = export.add_volume("raw", VOLTYPE="INTERNAL")
    top = export.add_volume("qcow2", below=below)
    export.add_vm(VM, engine_ovf(VM, [top]))
    hostile = export.add_volume("qcow2", below=below, backing="/etc/passwd")
    below.path.write_bytes(hostile.path.read_bytes().ljust(4 * MIB, b"\0"))
    (disk,) = (await read(local_agent, export)).disks
    assert [image.format for image in disk.chain] == ["raw"]


def test_an_id_is_a_uuid() -> None:
    with pytest.raises(ValidationError):
        ExportDomainSource.model_validate({"kind": "export_domain", "path": "/x", "vm_id": "../../etc"})


@pytest.mark.parametrize(
    ("conversion", "mode"),
    [
        (None, ConversionMode.COPY),
        ({}, ConversionMode.COPY),
        ({"time_limit_seconds": 9}, ConversionMode.COPY),
        ({"mode": "copy"}, ConversionMode.COPY),
        ({"mode": "convert"}, ConversionMode.CONVERT),
    ],
)
def test_it_is_copied_unless_a_conversion_is_asked_for(
    conversion: dict[str, object] | None, mode: ConversionMode
) -> None:
    source = {"kind": "export_domain", "path": "/x", "vm_id": str(VM)}
    asked = {} if conversion is None else {"conversion": conversion}
    assert request(source, **asked).conversion.mode is mode


async def test_virt_v2v_is_given_the_newest_volume(local_agent: HostAgent, export: Domain) -> None:
    below = export.add_volume("raw", VOLTYPE="INTERNAL")
    top = export.add_volume("qcow2", below=below)
    export.add_vm(VM, engine_ovf(VM, [top]))
    given = ExportDomain().input(spec(export), await read(local_agent, export), request(), "/w/attempt")
    assert str(top.path) in given.files[0].data.decode()
