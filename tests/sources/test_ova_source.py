"""OVAs as a source, looked at by the real agent: tars, compressed tars and folders."""

import gzip
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from app.errors import (
    DiskMissingError,
    InvalidSourceError,
    MalformedXmlError,
    SourceNotAllowedError,
    SourceNotFoundError,
    SourceTruncatedError,
    UnsafeImageError,
)
from app.models.vm import SourceDisk, VmConfig
from app.proxy.agent_client import HostAgent
from app.sources.base import Site, SourceReading
from app.sources.ova import Ova, OvaSource
from app.v2v.command import V2vInput
from app.v2v.failures import ChecksumMismatchError
from tests.support.images import MIB, make_backed, make_image
from tests.support.ovas import ovf, ovf_collection, pack, unpack, vmdk
from tests.support.requests import request

Packer = Callable[[Path, Mapping[str, bytes]], Path]


def tar(directory: Path, files: Mapping[str, bytes]) -> Path:
    return pack(directory / "web 1.ova", files)


def compressed(directory: Path, files: Mapping[str, bytes]) -> Path:
    return pack(directory / "web 1.ova", files, compressed=True)


def folder(directory: Path, files: Mapping[str, bytes]) -> Path:
    return unpack(directory / "web 1", files)


def place(path: Path, name: str) -> str:
    """How the host's agent is told of a file."""
    return str(path / name) if path.is_dir() else name


every_packer = pytest.mark.parametrize("packer", [tar, compressed, folder])


async def read(agent: HostAgent, path: Path, vm_id: str | None = None) -> SourceReading:
    return await Ova().read(
        OvaSource(kind="ova", path=str(path), vm_id=vm_id), Site(agent, [str(path.parent)])
    )


@every_packer
async def test_the_ovf_and_the_images_tell_what_the_vm_is(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    path = packer(tmp_path, {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)})
    config = (await read(local_agent, path)).config
    assert (config.name, config.cpu_count, config.memory_bytes) == ("web-1", 2, 512 * MIB)
    assert [nic.network for nic in config.nics] == ["VM Network"]
    (disk,) = config.disks
    assert (disk.path, disk.format, disk.capacity_bytes) == (place(path, "disk1.vmdk"), "vmdk", 4 * MIB)


async def test_the_images_size_counts_not_the_ovfs(local_agent: HostAgent, tmp_path: Path) -> None:
    files = {"web.ovf": ovf(size_bytes=1), "disk1.vmdk": vmdk(tmp_path, size_bytes=8 * MIB)}
    config = (await read(local_agent, tar(tmp_path, files))).config
    assert config.disks[0].capacity_bytes == 8 * MIB


async def test_only_what_is_unpacked_needs_room_in_the_work_directory(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    files = {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path), "other": bytes(MIB)}
    readings = [await read(local_agent, packer(tmp_path, files)) for packer in (tar, folder, compressed)]
    assert [reading.work_bytes for reading in readings] == [0, 0, len(files["disk1.vmdk"])]


@every_packer
@pytest.mark.parametrize("name", ["disk1.vmdk.gz", "disk1.vmdk"])
async def test_a_compressed_disk_needs_room_for_all_that_it_may_hold(
    local_agent: HostAgent, tmp_path: Path, packer: Packer, name: str
) -> None:
    files = {"web.ovf": ovf([name], compression="gzip"), name: gzip.compress(vmdk(tmp_path))}
    reading = await read(local_agent, packer(tmp_path, files))
    (disk,) = reading.config.disks
    assert (disk.compression, disk.capacity_bytes, disk.file_bytes) == ("gzip", 4 * MIB, len(files[name]))
    assert 4 * MIB < reading.work_bytes < 80 * MIB


@every_packer
async def test_a_disk_that_is_said_to_be_compressed_and_is_not_is_told(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    path = packer(tmp_path, {"web.ovf": ovf(compression="gzip"), "disk1.vmdk": vmdk(tmp_path)})
    with pytest.raises(InvalidSourceError, match="gzip"):
        await read(local_agent, path)


@every_packer
async def test_disks_may_lie_in_a_folder_below(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    path = packer(tmp_path, {"web.ovf": ovf(["d/it's a $(x).vmdk"]), "d/it's a $(x).vmdk": vmdk(tmp_path)})
    config = (await read(local_agent, path)).config
    assert config.disks[0].path == place(path, "d/it's a $(x).vmdk")


async def test_disks_lie_beside_the_ovf(local_agent: HostAgent, tmp_path: Path) -> None:
    path = tar(tmp_path, {"a/web.ovf": ovf(), "a/disk1.vmdk": vmdk(tmp_path)})
    assert (await read(local_agent, path)).config.disks[0].path == "a/disk1.vmdk"


@every_packer
async def test_a_missing_disk_is_named(local_agent: HostAgent, tmp_path: Path, packer: Packer) -> None:
    path = packer(tmp_path, {"web.ovf": ovf(["gone.vmdk"])})
    with pytest.raises(DiskMissingError, match=r"gone\.vmdk"):
        await read(local_agent, path)
    spec = OvaSource(kind="ova", path=str(path))
    reading = await Ova().read(spec, Site(local_agent, [str(path.parent)]), without={"vmdisk1"})
    assert reading.config.disks[0].path == "gone.vmdk"


@every_packer
async def test_without_an_ovf_it_is_no_ova(local_agent: HostAgent, tmp_path: Path, packer: Packer) -> None:
    with pytest.raises(InvalidSourceError, match="no OVF file"):
        await read(local_agent, packer(tmp_path, {"disk1.vmdk": vmdk(tmp_path)}))


@every_packer
async def test_two_ovfs_are_told_by_name(local_agent: HostAgent, tmp_path: Path, packer: Packer) -> None:
    path = packer(tmp_path, {"a.ovf": ovf(), "b.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)})
    with pytest.raises(InvalidSourceError, match=r"a\.ovf, b\.ovf"):
        await read(local_agent, path)


@every_packer
async def test_names_may_be_in_capitals(local_agent: HostAgent, tmp_path: Path, packer: Packer) -> None:
    files = {"WEB.OVF": ovf(["DISK1.VMDK"]), "DISK1.VMDK": vmdk(tmp_path)}
    manifest = f"SHA256(WEB.OVF)= {hashlib.sha256(files['WEB.OVF']).hexdigest()}\n".encode()
    config = (await read(local_agent, packer(tmp_path, files | {"WEB.MF": manifest}))).config
    assert config.name == "web-1"


@every_packer
async def test_two_disks_in_one_file_are_refused(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    path = packer(tmp_path, {"web.ovf": ovf(["a.vmdk", "a.vmdk"]), "a.vmdk": vmdk(tmp_path)})
    with pytest.raises(InvalidSourceError, match="one file"):
        await read(local_agent, path)


@every_packer
async def test_a_disk_named_outside_the_ova_is_refused(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    make_image(tmp_path / "other.vmdk", "vmdk")
    for href in ("../other.vmdk", str(tmp_path / "other.vmdk"), "d/../../other.vmdk"):
        with pytest.raises(InvalidSourceError):
            await read(local_agent, packer(tmp_path, {"web.ovf": ovf([href])}))


@every_packer
async def test_a_disk_that_refers_to_another_file_is_unsafe(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    backed = make_backed(tmp_path / "backed.qcow2", "/etc/passwd").read_bytes()
    path = packer(tmp_path, {"web.ovf": ovf(["disk1.qcow2"]), "disk1.qcow2": backed})
    with pytest.raises(UnsafeImageError):
        await read(local_agent, path)


@every_packer
async def test_a_text_that_makes_qemu_open_other_files_is_refused(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    """virt-v2v lets qemu guess: what doesn't surely begin like a VMDK or QCOW2 is not handed over."""
    text = b'#\nversion=1\ncreateType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n'.ljust(64 * 1024, b"\n")
    path = packer(tmp_path, {"web.ovf": ovf(), "disk1.vmdk": text})
    with pytest.raises((InvalidSourceError, UnsafeImageError)):
        await read(local_agent, path)


@every_packer
async def test_a_raw_disk_is_refused(local_agent: HostAgent, tmp_path: Path, packer: Packer) -> None:
    path = packer(tmp_path, {"web.ovf": ovf(["disk1.img"]), "disk1.img": bytes(MIB)})
    with pytest.raises(InvalidSourceError, match="raw"):
        await read(local_agent, path)


async def test_a_link_out_of_the_folder_is_not_followed(local_agent: HostAgent, tmp_path: Path) -> None:
    root = tmp_path / "root"
    path = unpack(root / "web", {"web.ovf": ovf()})
    (path / "disk1.vmdk").symlink_to(make_image(tmp_path / "secret.vmdk", "vmdk"))
    with pytest.raises(SourceNotAllowedError):
        await read(local_agent, path)


@every_packer
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
async def test_the_manifest_says_what_a_disk_is_to_hold(
    local_agent: HostAgent, tmp_path: Path, packer: Packer, algorithm: str
) -> None:
    files = (
        {"d/web.ovf": ovf(), "d/disk1.vmdk": vmdk(tmp_path)}
        if packer is not folder
        else {
            "web.ovf": ovf(),
            "disk1.vmdk": vmdk(tmp_path),
        }
    )
    digests = {name: hashlib.new(algorithm, data).hexdigest() for name, data in files.items()}
    lines = [
        f"{algorithm.upper()}({Path(name).name})= {digest.upper()}\r\n" for name, digest in digests.items()
    ]
    where = "d/web.mf" if packer is not folder else "web.mf"
    path = packer(tmp_path, {**files, where: "".join(lines).encode()})
    (disk,) = (await read(local_agent, path)).config.disks
    assert disk.checksum == f"{algorithm}:{list(digests.values())[1]}"


@every_packer
async def test_an_ovf_that_is_not_what_the_manifest_says_is_told_at_once(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    manifest = f"SHA256(web.ovf)= {'0' * 64}\n".encode()
    path = packer(tmp_path, {"web.ovf": ovf(), "web.mf": manifest, "disk1.vmdk": vmdk(tmp_path)})
    with pytest.raises(ChecksumMismatchError, match=r"web\.ovf"):
        await read(local_agent, path)


@every_packer
async def test_a_manifest_may_name_what_the_vm_does_not_need(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    manifest = f"SHA256(gone.nvram)= {'0' * 64}\n".encode()
    path = packer(tmp_path, {"web.ovf": ovf(), "web.mf": manifest, "disk1.vmdk": vmdk(tmp_path)})
    assert (await read(local_agent, path)).config.disks[0].checksum is None


@every_packer
async def test_one_of_several_vms_is_chosen_by_its_id(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    disk = vmdk(tmp_path)
    path = packer(
        tmp_path, {"web.ovf": ovf_collection(["one", "two"]), "disk1.vmdk": disk, "disk2.vmdk": disk}
    )
    config = (await read(local_agent, path, "two")).config
    assert (config.name, [disk.path for disk in config.disks]) == ("two", [place(path, "disk2.vmdk")])
    for vm_id in (None, "three"):
        with pytest.raises(InvalidSourceError, match=r"one.*two"):
            await read(local_agent, path, vm_id)


async def test_the_only_vm_may_be_named(local_agent: HostAgent, tmp_path: Path) -> None:
    path = tar(tmp_path, {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)})
    assert (await read(local_agent, path, "web-1")).config.name == "web-1"


async def test_another_vm_is_not_found_in_it(local_agent: HostAgent, tmp_path: Path) -> None:
    path = tar(tmp_path, {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)})
    with pytest.raises(InvalidSourceError, match="web-1"):
        await read(local_agent, path, "other")


async def test_what_is_no_tar_is_no_ova(local_agent: HostAgent, tmp_path: Path) -> None:
    path = tmp_path / "web.ova"
    for data in (b"", b"not a tar" * 1000, b"PK\3\4" + bytes(2000), b"\x1f\x8b broken gzip"):
        path.write_bytes(data)
        with pytest.raises(InvalidSourceError):
            await read(local_agent, path)


@pytest.mark.parametrize("packer", [tar, compressed])
async def test_a_truncated_archive_is_told(local_agent: HostAgent, tmp_path: Path, packer: Packer) -> None:
    path = packer(tmp_path, {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 5])
    with pytest.raises(SourceTruncatedError):
        await read(local_agent, path)


@every_packer
async def test_an_ovf_that_is_no_xml_is_told(local_agent: HostAgent, tmp_path: Path, packer: Packer) -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Envelope>&b;</Envelope>'
    for data in (b"", b"<Envelope", b"\xff\xfe\0", bomb):
        with pytest.raises(MalformedXmlError):
            await read(local_agent, packer(tmp_path, {"web.ovf": data, "disk1.vmdk": vmdk(tmp_path)}))


async def test_a_missing_ova_is_not_found(local_agent: HostAgent, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        await read(local_agent, tmp_path / "none.ova")


def given(config: VmConfig, path: str = "/srv/web.ova", **properties: Any) -> V2vInput:
    return Ova().input(OvaSource(kind="ova", path=path), config, request(**properties), "/w/attempt")


def images(given: V2vInput) -> list[tuple[str | None, str | None]]:
    """Each disk's file and format, as virt-v2v is told."""
    domain = ET.fromstring(given.files[0].data)  # noqa: S314  # our own
    return [
        (disk.find("source").get("file"), disk.find("driver").get("type"))  # type: ignore[union-attr]
        for disk in domain.iterfind("devices/disk")
    ]


def a_disk(id: str, path: str, **more: Any) -> SourceDisk:  # noqa: A002
    return SourceDisk(id=id, label=id, capacity_bytes=4 * MIB, format="vmdk", path=path, **more)


def a_vm(*disks: SourceDisk) -> VmConfig:
    return VmConfig(id="web", name="web", disks=disks)


def test_what_lies_in_an_archive_is_made_ready_in_the_attempt_s_directory() -> None:
    made = given(a_vm(a_disk("one", "a.vmdk", checksum="sha1:0"), a_disk("two", "b.gz", compression="gzip")))
    assert made.argv == ("-i", "libvirtxml", "/w/attempt/source.xml")
    assert images(made) == [("/w/attempt/disk-1.qcow2", "qcow2"), ("/w/attempt/disk-2.qcow2", "qcow2")]
    assert made.preparation is not None
    assert made.preparation["path"] == "/srv/web.ova"
    assert [(it["file"], it["image"], it["checksum"]) for it in made.preparation["disks"]] == [
        ("a.vmdk", "disk-1.qcow2", "sha1:0"),
        ("b.gz", "disk-2.qcow2", None),
    ]


def test_a_plain_file_in_a_folder_is_taken_as_it_is() -> None:
    made = given(a_vm(a_disk("one", "/srv/web/a.vmdk")))
    assert images(made) == [("/srv/web/a.vmdk", "vmdk")]
    assert made.preparation is None


def test_a_plain_file_with_a_checksum_is_only_compared() -> None:
    made = given(a_vm(a_disk("one", "/srv/web/a.vmdk", checksum="sha256:0")))
    assert made.preparation is not None
    assert [it["image"] for it in made.preparation["disks"]] == [None]


def test_a_disk_that_is_left_out_is_neither_made_ready_nor_given() -> None:
    vm = a_vm(a_disk("one", "a.vmdk"), a_disk("two", "b.vmdk"))
    made = given(vm, disks=[{"source_disk_id": "one", "include": False}])
    assert images(made) == [("/w/attempt/disk-2.qcow2", "qcow2")]
    assert made.preparation is not None
    assert [it["file"] for it in made.preparation["disks"]] == ["b.vmdk"]
