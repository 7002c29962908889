"""Folders: every VM in them is found with the source that imports it, or with the reason why none does."""

from pathlib import Path
from typing import Any

import pytest

from app.errors import SourceNotFoundError
from app.proxy.agent_client import HostAgent
from app.sources import source_of
from app.sources.base import Site
from app.sources.scans.base import Findings, Found
from app.sources.scans.folder import FolderScan, ScanFolder
from tests.support.descriptions import domain_xml, vmx
from tests.support.images import make_backed, make_image
from tests.support.ovas import ovf, ovf_collection, pack, unpack, vmdk


async def scan(agent: HostAgent, path: Path) -> Findings:
    site = Site(agent, [str(path)])
    return await ScanFolder().scan(FolderScan(kind="folder", path=str(path)), site)


def by_name(findings: Findings) -> dict[str, Found]:
    return {Path(found.path or "").name: found for found in findings.found}


def source(found: Found) -> dict[str, Any]:
    assert found.source is not None
    return found.source.model_dump(exclude_none=True)


async def test_every_vm_is_found_with_the_source_that_imports_it(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    image = vmdk(tmp_path)
    pack(tmp_path / "web.ova", {"web.ovf": ovf(), "disk1.vmdk": image})
    unpack(tmp_path / "db 1", {"DB.OVF": ovf(name="db-1"), "disk1.vmdk": image})
    make_image(tmp_path / "mail.img", "raw")
    (tmp_path / "mail.xml").write_bytes(domain_xml(["mail.img"], name="mail"))
    (tmp_path / "app").mkdir()
    make_image(tmp_path / "app" / "app.vmdk", "vmdk")
    (tmp_path / "app" / "app.vmx").write_bytes(vmx("app.vmdk"))
    make_image(tmp_path / "alone.qcow2", "qcow2")
    found = by_name(await scan(local_agent, tmp_path))
    assert {name: source(one) for name, one in found.items()} == {
        "web.ova": {"kind": "ova", "path": f"{tmp_path}/web.ova"},
        "db 1": {"kind": "ova", "path": f"{tmp_path}/db 1"},
        "mail.xml": {"kind": "libvirt_xml", "path": f"{tmp_path}/mail.xml"},
        "app.vmx": {"kind": "vmx", "path": f"{tmp_path}/app/app.vmx"},
        "alone.qcow2": {"kind": "disk", "path": f"{tmp_path}/alone.qcow2"},
    }
    names = {one.config.name for one in found.values() if one.config}
    assert names == {"web-1", "db-1", "mail", "app-1", "alone"}


async def test_each_found_source_reads_what_was_found(local_agent: HostAgent, tmp_path: Path) -> None:
    files = {
        "a.ovf": ovf_collection(["web-1", "db-1"]),
        "disk1.vmdk": vmdk(tmp_path),
        "disk2.vmdk": vmdk(tmp_path),
    }
    pack(tmp_path / "a.ova", files)
    make_image(tmp_path / "alone.qcow2", "qcow2")
    findings = await scan(local_agent, tmp_path)
    assert len(findings.found) == 3
    for found in findings.found:
        spec = found.source
        assert spec is not None
        kind = source_of(spec.model_dump()["kind"])
        assert (await kind.read(spec, Site(local_agent, [str(tmp_path)]))).config == found.config


async def test_what_can_t_be_imported_is_listed_with_the_reason(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    pack(tmp_path / "half.ova", {"web.ovf": ovf()})
    (tmp_path / "gone.xml").write_bytes(domain_xml(["gone.img"]))
    (tmp_path / "two").mkdir()
    for name in ("a.ovf", "b.ovf"):
        (tmp_path / "two" / name).write_bytes(ovf())
    (tmp_path / "leak.img").symlink_to("/etc/passwd")
    found = by_name(await scan(local_agent, tmp_path))
    assert {name: one.problem.code for name, one in found.items() if one.problem} == {
        "half.ova": "disk_missing",
        "gone.xml": "source_not_found",
        "a.ovf": "invalid_source",
        "leak.img": "source_not_allowed",
    }
    assert [one.config for one in found.values()] == [None] * 4


async def test_an_image_that_belongs_to_a_vm_is_none_of_its_own(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    make_image(tmp_path / "base.img", "raw")
    make_backed(tmp_path / "web.qcow2", "base.img")
    make_image(tmp_path / "whole.img", "raw")
    (tmp_path / "broken.xml").write_bytes(domain_xml(["whole.img", "missing.img"]))
    options = "subformat=monolithicFlat"
    make_image(tmp_path / "flat.vmdk", "vmdk", options=options)
    found = by_name(await scan(local_agent, tmp_path))
    assert set(found) == {"broken.xml", "web.qcow2", "flat.vmdk"}


async def test_a_folder_that_is_not_there_fails_the_scan(local_agent: HostAgent, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        await ScanFolder().scan(
            FolderScan(kind="folder", path=f"{tmp_path}/none"), Site(local_agent, [str(tmp_path)])
        )
