"""A VMX file as a source, looked at by the real agent."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from app.errors import InvalidSourceError, SourceNotAllowedError, SourceNotFoundError, UnsafeImageError
from app.models.vm import PowerState, VmConfig
from app.proxy.agent_client import HostAgent
from app.sources.base import Site
from app.sources.vmx import Vmx, VmxSource
from tests.support.images import MIB, make_image
from tests.support.requests import request

NIC = (
    'ethernet0.networkName = "lan"',
    'ethernet0.addressType = "static"',
    'ethernet0.address = "00:50:56:0:0:1"',
)


def write(directory: Path, *lines: str, name: str = "web-1.vmx") -> Path:
    path = directory / name
    path.write_text("\n".join(('displayName = "web & 1"', 'memsize = "768"', *NIC, *lines)))
    return path


def with_disk(directory: Path, *lines: str, file: str = "web-1.vmdk", options: str = "") -> Path:
    make_image(directory / file, "vmdk", options=options)
    return write(directory, f'scsi0:0.fileName = "{file}"', *lines)


async def read(agent: HostAgent, path: Path, root: Path | None = None, **more: Any) -> VmConfig:
    spec = VmxSource(kind="vmx", path=str(path))
    return (await Vmx().read(spec, Site(agent, [str(root or path.parent)]), **more)).config


def domain(config: VmConfig, **properties: Any) -> ET.Element:
    spec = VmxSource(kind="vmx", path="/srv/web-1.vmx")
    given = Vmx().input(spec, config, request(**properties), "/w/attempt")
    assert given.argv == ("-i", "libvirtxml", "/w/attempt/source.xml")
    (file,) = given.files
    return ET.fromstring(file.data)  # noqa: S314  # our own


@pytest.mark.parametrize("options", ["", "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse"])
async def test_the_file_and_its_disk_tell_what_the_vm_is(
    local_agent: HostAgent, tmp_path: Path, options: str
) -> None:
    config = await read(local_agent, with_disk(tmp_path, options=options))
    assert (config.name, config.memory_bytes, config.state) == ("web & 1", 768 * MIB, PowerState.DOWN)
    (disk,) = config.disks
    assert (disk.path, disk.format, disk.capacity_bytes) == (str(tmp_path / "web-1.vmdk"), "vmdk", 4 * MIB)
    assert not config.has_snapshots


async def test_virt_v2v_is_given_a_domain_of_vmware_s(local_agent: HostAgent, tmp_path: Path) -> None:
    written = domain(await read(local_agent, with_disk(tmp_path)))
    assert (written.get("type"), written.findtext("name")) == ("vmware", "web & 1")
    assert [disk.get("type") for disk in written.iterfind("devices/disk/driver")] == ["vmdk"]
    assert [mac.get("address") for mac in written.iterfind("devices/interface/mac")] == ["00:50:56:0:0:1"]


async def test_a_disk_that_is_left_out_need_not_be_there(local_agent: HostAgent, tmp_path: Path) -> None:
    path = with_disk(tmp_path, 'nvme0:0.fileName = "gone.vmdk"')
    with pytest.raises(SourceNotFoundError):
        await read(local_agent, path)
    config = await read(local_agent, path, without={"nvme0:0"})
    written = domain(config, disks=[{"source_disk_id": "nvme0:0", "include": False}])
    assert [source.get("file") for source in written.iterfind("devices/disk/source")] == [
        str(tmp_path / "web-1.vmdk")
    ]


async def test_a_disk_of_the_datastore_s_path_outside_the_roots_is_not_allowed(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    make_image(tmp_path / "other.vmdk", "vmdk")
    for name in ("../other.vmdk", str(tmp_path / "other.vmdk"), "/etc/passwd"):
        with pytest.raises(SourceNotAllowedError):
            await read(local_agent, write(root, f'scsi0:0.fileName = "{name}"'))


async def test_an_extent_outside_the_directory_is_unsafe(local_agent: HostAgent, tmp_path: Path) -> None:
    text = '# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n'
    (tmp_path / "web-1.vmdk").write_text(text)
    with pytest.raises(UnsafeImageError):
        await read(local_agent, write(tmp_path, 'scsi0:0.fileName = "web-1.vmdk"'))


async def test_a_disk_that_is_no_vmdk_is_refused(local_agent: HostAgent, tmp_path: Path) -> None:
    make_image(tmp_path / "web-1.vmdk", "qcow2")
    with pytest.raises(InvalidSourceError, match="vmdk"):
        await read(local_agent, write(tmp_path, 'scsi0:0.fileName = "web-1.vmdk"'))


@pytest.mark.parametrize("name", ["web-1.vmx.lck", "web-1.vmdk.lck", ".lck-3f00000000000000"])
async def test_a_lock_beside_it_tells_that_it_runs(local_agent: HostAgent, tmp_path: Path, name: str) -> None:
    path = with_disk(tmp_path)
    (tmp_path / name).mkdir()
    assert (await read(local_agent, path)).state is PowerState.UP


@pytest.mark.parametrize("name", ["web-1.vmss", "web-1-0badcafe.vmss"])
async def test_saved_memory_tells_that_it_is_suspended(
    local_agent: HostAgent, tmp_path: Path, name: str
) -> None:
    path = with_disk(tmp_path)
    (tmp_path / name).touch()
    assert (await read(local_agent, path)).state is PowerState.SUSPENDED


async def test_other_vms_in_the_directory_do_not_matter(local_agent: HostAgent, tmp_path: Path) -> None:
    path = with_disk(tmp_path)
    for name in ("web-10.vmx.lck", "web-1-copy.vmss", "web-10.vmsd"):
        (tmp_path / name).write_text('snapshot.numSnapshots = "1"')
    config = await read(local_agent, path)
    assert (config.state, bool(config.has_snapshots)) == (PowerState.DOWN, False)


@pytest.mark.parametrize(("count", "has"), [("2", True), ("0", False)])
async def test_the_snapshots_are_counted(
    local_agent: HostAgent, tmp_path: Path, count: str, *, has: bool
) -> None:
    path = with_disk(tmp_path)
    (tmp_path / "web-1.vmsd").write_text(f'.encoding = "UTF-8"\nsnapshot.numSnapshots = "{count}"\n')
    assert bool((await read(local_agent, path)).has_snapshots) is has


async def test_an_empty_vmsd_tells_of_no_snapshot(local_agent: HostAgent, tmp_path: Path) -> None:
    path = with_disk(tmp_path)
    (tmp_path / "web-1.vmsd").touch()
    assert not (await read(local_agent, path)).has_snapshots


async def test_a_vm_without_a_name_is_called_as_its_file(local_agent: HostAgent, tmp_path: Path) -> None:
    path = tmp_path / "odd NAME.VMX"
    path.write_text('memsize = "64"')
    assert (await read(local_agent, path)).name == "odd NAME"


async def test_a_disk_image_is_no_vmx(local_agent: HostAgent, tmp_path: Path) -> None:
    with pytest.raises(InvalidSourceError, match="disk image"):
        await read(local_agent, make_image(tmp_path / "web-1.vmdk", "vmdk"))
