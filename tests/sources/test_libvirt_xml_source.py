"""A libvirt XML file as a source, looked at by the real agent."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

import pytest

from app.errors import (
    InvalidSourceError,
    SourceNotAllowedError,
    SourceNotFoundError,
    UnsafeImageError,
)
from app.models.vm import Firmware, VmConfig
from app.proxy.agent_client import HostAgent
from app.sources.base import Site
from app.sources.libvirt_xml import LibvirtXml, LibvirtXmlSource
from app.v2v.command import V2vInput
from tests.support.images import MIB, make_backed, make_image
from tests.support.requests import request

HOSTILE_NAMES = ["a b.img", 'it\'s "x".img', "$(touch x).img", "new\nline.img", "<x>&amp;.img", "a:b,c=d.img"]
NICS = (
    "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='lan'/>"
    "<model type='e1000'/></interface>"
)


def disk_xml(path: str, format_name: str | None = "raw", dev: str = "vda") -> str:
    driver = f"<driver name='qemu' type='{format_name}'/>" if format_name else ""
    return (
        f"<disk type='file' device='disk'>{driver}<source file={quoteattr(path, {chr(10): '&#10;'})}/>"
        f"<target dev='{dev}' bus='virtio'/></disk>"
    )


def write_xml(path: Path, *devices: str, extra: str = "") -> Path:
    path.write_text(
        f"<domain type='kvm'><name>web &amp; 1</name><memory unit='MiB'>768</memory><vcpu>3</vcpu>{extra}"
        f"<os><type arch='x86_64'>hvm</type></os><devices>{''.join(devices)}{NICS}</devices></domain>"
    )
    return path


async def read(agent: HostAgent, path: Path, root: Path | None = None) -> VmConfig:
    spec = LibvirtXmlSource(kind="libvirt_xml", path=str(path))
    return (await LibvirtXml().read(spec, Site(agent, [str(root or path.parent)]))).config


def given(config: VmConfig, **properties: Any) -> V2vInput:
    spec = LibvirtXmlSource(kind="libvirt_xml", path="/srv/web.xml")
    return LibvirtXml().input(spec, config, request(**properties), "/w/attempt")


def domain(config: VmConfig, **properties: Any) -> ET.Element:
    (file,) = given(config, **properties).files
    return ET.fromstring(file.data)  # noqa: S314  # our own


async def test_the_xml_and_the_images_tell_what_the_vm_is(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.qcow2", "qcow2")
    config = await read(local_agent, write_xml(tmp_path / "web.xml", disk_xml(str(image), "qcow2")))
    assert (config.name, config.cpu_count, config.memory_bytes) == ("web & 1", 3, 768 * MIB)
    (disk,) = config.disks
    assert (disk.path, disk.format, disk.capacity_bytes) == (str(image), "qcow2", 4 * MIB)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_a_hostile_name_reaches_virt_v2v_unchanged(
    local_agent: HostAgent, tmp_path: Path, name: str
) -> None:
    image = make_image(tmp_path / name, "raw")
    config = await read(local_agent, write_xml(tmp_path / "web.xml", disk_xml(str(image))))
    source = domain(config).find("devices/disk/source")
    assert source is not None
    assert source.get("file") == str(image)


async def test_relative_paths_begin_beside_the_xml(local_agent: HostAgent, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    image = make_image(tmp_path / "images/web.img", "raw")
    config = await read(local_agent, write_xml(tmp_path / "web.xml", disk_xml("images/web.img")))
    assert config.disks[0].path == str(image)


async def test_a_relative_path_out_of_the_roots_is_not_allowed(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    make_image(tmp_path / "secret.img", "raw")
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(SourceNotAllowedError):
        await read(local_agent, write_xml(root / "web.xml", disk_xml("../secret.img")), root)


async def test_a_disk_outside_the_roots_is_not_allowed(local_agent: HostAgent, tmp_path: Path) -> None:
    with pytest.raises(SourceNotAllowedError):
        await read(local_agent, write_xml(tmp_path / "web.xml", disk_xml("/etc/passwd")))


async def test_a_missing_disk_is_not_found(local_agent: HostAgent, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        await read(local_agent, write_xml(tmp_path / "web.xml", disk_xml("gone.img")))


async def test_a_backing_file_elsewhere_is_unsafe(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_backed(tmp_path / "web.qcow2", "/etc/passwd")
    with pytest.raises(UnsafeImageError):
        await read(local_agent, write_xml(tmp_path / "web.xml", disk_xml(str(image), "qcow2")))


async def test_what_the_xml_calls_raw_is_read_as_raw(local_agent: HostAgent, tmp_path: Path) -> None:
    """Else a guest could write a header into its own disk, and read the host's files by the import."""
    image = make_backed(tmp_path / "web.img", "/etc/passwd")
    config = await read(local_agent, write_xml(tmp_path / "web.xml", disk_xml(str(image), "raw")))
    driver = domain(config).find("devices/disk/driver")
    assert driver is not None
    assert driver.get("type") == "raw"


async def test_without_a_format_the_header_tells(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.img", "qcow2")
    config = await read(local_agent, write_xml(tmp_path / "web.xml", disk_xml(str(image), None)))
    assert config.disks[0].format == "qcow2"


async def test_an_image_of_another_format_is_told(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.img", "raw")
    with pytest.raises(InvalidSourceError):
        await read(local_agent, write_xml(tmp_path / "web.xml", disk_xml(str(image), "qcow2")))


async def test_a_disk_on_the_network_has_no_path(local_agent: HostAgent, tmp_path: Path) -> None:
    remote = (
        "<disk type='network' device='disk'><driver name='qemu' type='raw'/>"
        "<source protocol='rbd' name='pool/image'/><target dev='vda' bus='virtio'/></disk>"
    )
    config = await read(local_agent, write_xml(tmp_path / "web.xml", remote))
    assert (config.disks[0].path, config.disks[0].capacity_bytes) == (None, None)


async def test_a_disk_that_is_left_out_need_not_be_there(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.img", "raw")
    path = write_xml(tmp_path / "web.xml", disk_xml(str(image)), disk_xml("/gone.img", dev="vdb"))
    spec = LibvirtXmlSource(kind="libvirt_xml", path=str(path))
    reading = await LibvirtXml().read(spec, Site(local_agent, [str(tmp_path)]), without={"vdb"})
    assert [disk.capacity_bytes for disk in reading.config.disks] == [4 * MIB, None]


async def test_what_is_no_domain_xml_is_told(local_agent: HostAgent, tmp_path: Path) -> None:
    path = tmp_path / "web.xml"
    bomb = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><domain>&b;</domain>'
    for data in (b"", b"<domain", b"<html/>", b"\xff\xfe\0", bomb, b"<domain>" + b" " * 2**23 + b"</domain>"):
        path.write_bytes(data)
        with pytest.raises(InvalidSourceError):
            await read(local_agent, path)


async def test_virt_v2v_is_given_an_xml_of_ours(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.img", "raw")
    extra = "<description>from outside</description><qemu:commandline xmlns:qemu='x'/>"
    config = await read(local_agent, write_xml(tmp_path / "web.xml", disk_xml(str(image)), extra=extra))
    assert given(config).argv == ("-i", "libvirtxml", "/w/attempt/source.xml")
    assert {element.tag for element in domain(config)} == {
        "name",
        "memory",
        "vcpu",
        "os",
        "features",
        "devices",
    }


async def test_nics_and_memory_reach_virt_v2v(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.img", "raw")
    written = domain(await read(local_agent, write_xml(tmp_path / "web.xml", disk_xml(str(image)))))
    assert written.findtext("memory") == str(768 * 1024)
    (nic,) = written.findall("devices/interface")
    assert [{**child.attrib} for child in nic] == [
        {"address": "52:54:00:00:00:01"},
        {"network": "lan"},
        {"type": "e1000"},
    ]


async def test_a_disk_that_is_left_out_is_not_given(local_agent: HostAgent, tmp_path: Path) -> None:
    one, two = (make_image(tmp_path / f"{name}.img", "raw") for name in ("one", "two"))
    path = write_xml(tmp_path / "web.xml", disk_xml(str(one)), disk_xml(str(two), dev="vdb"))
    config = await read(local_agent, path)
    left_out = {"source_disk_id": config.disks[0].id, "include": False}
    written = domain(config, disks=[left_out])
    assert [source.get("file") for source in written.findall("devices/disk/source")] == [str(two)]


def test_uefi_is_told_in_both_spellings() -> None:
    written = domain(VmConfig(id="a", name="a", firmware=Firmware.UEFI)).find("os")
    assert written is not None
    assert written.get("firmware") == "efi"
    assert [element.get("type") for element in written.findall("loader")] == ["pflash"]


def test_leaving_disks_out_is_supported() -> None:
    wanted = request(disks=[{"source_disk_id": "vda", "include": False}])
    assert LibvirtXml().unsupported(wanted) == []
