"""The other kinds of scans: one VM, the several of an OVA, uploads, a domain of oVirt."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.errors import AppError, DiskMissingError, UnsupportedPropertyError
from app.proxy.agent_client import HostAgent
from app.services.scan_specs import source_from_row
from app.sources.base import Site
from app.sources.scans import SCANNERS, ScanSource, scanner_of
from app.sources.scans.base import Findings
from app.sources.scans.export_domain import ExportDomainScan
from tests.support.descriptions import domain_xml, vmx
from tests.support.images import make_image
from tests.support.ovas import ovf, ovf_collection, pack, vmdk
from tests.support.ovirt_domains import engine_ovf, make_domain


async def scan(agent: HostAgent, source: ScanSource, *roots: Path) -> Findings:
    return await scanner_of(source.kind).scan(source, Site(agent, [str(root) for root in roots]))


def at(kind: str, path: Path) -> ScanSource:
    return source_from_row({"kind": kind, "path": str(path)})


async def test_a_source_of_one_vm_is_its_own_item(local_agent: HostAgent, tmp_path: Path) -> None:
    make_image(tmp_path / "web.img", "raw")
    make_image(tmp_path / "app.vmdk", "vmdk")
    (tmp_path / "web.xml").write_bytes(domain_xml(["web.img"]))
    (tmp_path / "app.vmx").write_bytes(vmx("app.vmdk"))
    pack(tmp_path / "web.ova", {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)})
    for kind, name in {
        "disk": "web.img",
        "libvirt_xml": "web.xml",
        "vmx": "app.vmx",
        "ova": "web.ova",
    }.items():
        source = at(kind, tmp_path / name)
        (found,) = (await scan(local_agent, source, tmp_path)).found
        assert (found.source, found.path) == (source, str(tmp_path / name))
        assert found.config is not None


async def test_what_keeps_the_only_vm_from_being_read_fails_the_scan(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    pack(tmp_path / "web.ova", {"web.ovf": ovf()})
    with pytest.raises(DiskMissingError):
        await scan(local_agent, at("ova", tmp_path / "web.ova"), tmp_path)


async def test_each_vm_of_an_ova_is_an_item_and_one_that_can_t_be_read_has_the_reason(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    pack(tmp_path / "a.ova", {"a.ovf": ovf_collection(["web-1", "db-1"]), "disk1.vmdk": vmdk(tmp_path)})
    found = (await scan(local_agent, at("ova", tmp_path / "a.ova"), tmp_path)).found
    ids = [one.source.model_dump()["vm_id"] for one in found if one.source]
    assert len(set(ids)) == 2
    assert [one.config.id if one.config else None for one in found] == [ids[0], None]
    assert [one.problem.code if one.problem else None for one in found] == [None, "disk_missing"]


async def test_uploads_are_listed_under_their_own_name(local_agent: HostAgent, tmp_path: Path) -> None:
    path = pack(
        tmp_path / "a.ova",
        {
            "a.ovf": ovf_collection(["web-1", "db-1"]),
            "disk1.vmdk": vmdk(tmp_path),
            "disk2.vmdk": vmdk(tmp_path),
        },
    )
    upload_id = uuid4()
    data = path.read_bytes()
    await local_agent.create_upload(upload_id, "a.ova", len(data))
    async with local_agent.receive_upload(upload_id, 0, None) as receiving:
        await receiving.send(data)
        await receiving.finish()
    source = source_from_row({"kind": "upload", "upload_ids": [str(upload_id)]})
    found = (await scan(local_agent, source)).found
    assert {one.path for one in found} == {None}
    for one in found:
        assert one.source is not None
        (again,) = (await scan(local_agent, one.source)).found  # type: ignore[arg-type]  # an upload's
        assert again.config == one.config


async def test_each_vm_of_a_domain_of_ovirt_is_an_item(local_agent: HostAgent, tmp_path: Path) -> None:
    domain = make_domain(tmp_path)
    vm_id = UUID(int=7)
    domain.add_vm(vm_id, engine_ovf(vm_id, [], name="web"))
    source = ExportDomainScan(kind="export_domain", path=str(domain.path))
    (found,) = (await scan(local_agent, source, tmp_path)).found
    assert found.source is not None
    assert found.source.model_dump()["vm_id"] == vm_id
    assert found.config is not None
    assert found.config.name == "web"


def test_every_kind_is_found_by_its_name() -> None:
    assert [scanner_of(scanner.kind) for scanner in SCANNERS] == list(SCANNERS)
    with pytest.raises(UnsupportedPropertyError):
        scanner_of("floppy")
    assert issubclass(UnsupportedPropertyError, AppError)
