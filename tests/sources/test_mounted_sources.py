"""Sources on exports and devices: which root holds them, and that they are read like any other."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from app.actions.scan_source import scan_source
from app.errors import MountFailedError, SourceNotAllowedError, SourceNotFoundError
from app.models.common import SourcePath, SourceRoot
from app.proxy.agent_client import HostAgent
from app.sources.base import Site
from app.sources.disk import Disk, DiskSource
from app.sources.libvirt_xml import LibvirtXml, LibvirtXmlSource
from app.sources.mounted import place_of, read
from app.sources.scans.folder import FolderScan
from tests.support.descriptions import domain_xml
from tests.support.exports import Exports, mounted_below
from tests.support.hosts import agent_at
from tests.support.images import make_image

ROOT = "nfs://nas.example/vms"


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    return Exports(tmp_path)


@pytest.fixture
def agent(work_dir: Path, exports: Exports) -> HostAgent:
    return agent_at(work_dir, path=exports.path)


def disk(path: str) -> DiskSource:
    return DiskSource(kind="disk", path=path)


@pytest.mark.parametrize(
    ("root", "path", "source", "version"),
    [
        ("nfs://nas/vms", "nfs://NAS/vms/a/b.img", "nas:/vms", None),
        ("nfs://NAS/vms/?vers=3", "nfs://nas/vms", "nas:/vms", "3"),
        ("nfs://nas/", "nfs://nas/vms/b.img", "nas:/", None),
        ("nfs://[::1]/vms", "nfs://[::1]/vms/b.img", "[::1]:/vms", None),
        ("device:///dev/mapper/a", "device:///dev/mapper/a/b.img", "/dev/mapper/a", None),
    ],
)
def test_the_root_that_holds_the_path_says_what_is_mounted(
    root: str, path: str, source: str, version: str | None
) -> None:
    place = place_of(disk(path), ["/srv", root], "/w")
    assert place is not None
    assert (place.mount.source, place.mount.version) == (source, version)
    local = place.local(path.lower())
    assert local.startswith(f"/w/mnt/{place.mount.name}")
    assert place.address(local) == path.lower()


def test_the_nearest_root_is_mounted() -> None:
    place = place_of(disk(f"{ROOT}/a/b.img"), ["nfs://nas.example/", ROOT, f"{ROOT}/a"], "/w")
    assert place is not None
    assert place.mount.source == "nas.example:/vms/a"


@pytest.mark.parametrize(
    "path", ["nfs://other/vms/a", "nfs://nas.example/vmsx/a", "nfs://nas.example/", "device:///dev/vdb1/a"]
)
def test_what_no_root_holds_is_refused(path: str) -> None:
    with pytest.raises(SourceNotAllowedError):
        place_of(disk(path), ["/", ROOT], "/w")


@pytest.mark.parametrize(
    "path",
    [
        "nfs://nas",
        "nfs:///vms/a",
        "nfs://user@nas/vms/a",
        "nfs://nas:2049/vms/a",
        "nfs://-o/vms/a",
        "nfs://nas/vms/../a",
        "device:///etc/passwd",
        "device:///dev/../etc",
        "http://nas/vms",
        "vms/a",
    ],
)
def test_other_addresses_are_none(path: str) -> None:
    for kind in (SourcePath, SourceRoot):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(path)


def test_only_a_root_names_the_version() -> None:
    roots = TypeAdapter(SourceRoot)
    assert roots.validate_python(f"{ROOT}?vers=4.1")
    for wrong in ("?vers=2", "?vers=4,exec", "?exec", "?vers=3?vers=4"):
        with pytest.raises(ValidationError):
            roots.validate_python(ROOT + wrong)


async def test_a_vm_on_an_export_is_read_and_the_job_goes_on_with_the_mount(
    agent: HostAgent, exports: Exports, work_dir: Path
) -> None:
    export = exports.export()
    make_image(export / "web 1.qcow2", "qcow2")
    (export / "web.xml").write_bytes(domain_xml(["/elsewhere/web 1.qcow2"], format_name="qcow2"))
    source = LibvirtXmlSource(kind="libvirt_xml", path=f"{ROOT}/web.xml")
    reading = await read(LibvirtXml(), source, Site(agent, ["/elsewhere", ROOT]))
    (mount,) = reading.mounts
    directory = mount.directory(str(work_dir))
    assert reading.config.disks[0].path == f"{directory}/web 1.qcow2"
    assert reading.source == source.model_copy(update={"path": f"{directory}/web.xml"})
    assert reading.roots == (directory,)
    assert mounted_below(work_dir) == []


async def test_what_is_on_the_host_needs_no_mount(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.img", "raw")
    reading = await read(Disk(), disk(str(image)), Site(local_agent, [ROOT, str(tmp_path)]))
    assert (reading.mounts, reading.source, reading.roots) == ((), None, None)


async def test_an_error_names_the_path_that_was_asked_for(agent: HostAgent, exports: Exports) -> None:
    exports.export()
    with pytest.raises(SourceNotFoundError, match=f"'{ROOT}/none.img'"):
        await read(Disk(), disk(f"{ROOT}/none.img"), Site(agent, [ROOT]))
    with pytest.raises(MountFailedError, match="access denied"):
        await read(Disk(), disk("nfs://nas.example/other/a.img"), Site(agent, ["nfs://nas.example/other"]))


async def test_a_scan_of_an_export_lists_sources_on_the_export(agent: HostAgent, exports: Exports) -> None:
    export = exports.export()
    make_image(export / "web.qcow2", "qcow2")
    (export / "gone.xml").write_bytes(domain_xml(["gone.img"]))
    scanned = await scan_source(FolderScan(kind="folder", path=ROOT), Site(agent, [ROOT]))
    gone, web = scanned.items
    assert web.source is not None
    assert web.vm is not None
    assert (web.path, web.vm.path) == (f"{ROOT}/web.qcow2",) * 2
    assert web.source.model_dump() == {"kind": "disk", "path": f"{ROOT}/web.qcow2"}
    assert gone.problem is not None
    assert f"'{ROOT}/gone.img'" in gone.problem.detail
