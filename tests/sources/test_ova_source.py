"""OVAs as a source, looked at by the real agent: tars, compressed tars and folders."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from app.errors import (
    InvalidSourceError,
    SourceNotAllowedError,
    SourceNotFoundError,
    UnsafeImageError,
)
from app.proxy.agent_client import HostAgent
from app.sources.base import SourceReading
from app.sources.ova import Ova, OvaSource
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


every_packer = pytest.mark.parametrize("packer", [tar, compressed, folder])


async def read(agent: HostAgent, path: Path, vm_id: str | None = None) -> SourceReading:
    return await Ova().read(OvaSource(kind="ova", path=str(path), vm_id=vm_id), agent, [str(path.parent)])


@every_packer
async def test_the_ovf_and_the_images_tell_what_the_vm_is(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    path = packer(tmp_path, {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)})
    config = (await read(local_agent, path)).config
    assert (config.name, config.cpu_count, config.memory_bytes) == ("web-1", 2, 512 * MIB)
    assert [nic.network for nic in config.nics] == ["VM Network"]
    (disk,) = config.disks
    assert (disk.path, disk.format, disk.capacity_bytes) == ("disk1.vmdk", "vmdk", 4 * MIB)


async def test_the_images_size_counts_not_the_ovfs(local_agent: HostAgent, tmp_path: Path) -> None:
    files = {"web.ovf": ovf(size_bytes=1), "disk1.vmdk": vmdk(tmp_path, size_bytes=8 * MIB)}
    config = (await read(local_agent, tar(tmp_path, files))).config
    assert config.disks[0].capacity_bytes == 8 * MIB


async def test_only_a_compressed_tar_needs_room_in_the_work_directory(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    files = {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)}
    unpacked = sum(len(data) for data in files.values())
    readings = [await read(local_agent, packer(tmp_path, files)) for packer in (tar, folder, compressed)]
    assert [reading.work_bytes for reading in readings] == [0, 0, unpacked]


@every_packer
async def test_disks_may_lie_in_a_folder_below(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    path = packer(tmp_path, {"web.ovf": ovf(["d/it's a $(x).vmdk"]), "d/it's a $(x).vmdk": vmdk(tmp_path)})
    config = (await read(local_agent, path)).config
    assert config.disks[0].path == "d/it's a $(x).vmdk"


async def test_disks_lie_beside_the_ovf(local_agent: HostAgent, tmp_path: Path) -> None:
    path = tar(tmp_path, {"a/web.ovf": ovf(), "a/disk1.vmdk": vmdk(tmp_path)})
    assert (await read(local_agent, path)).config.disks[0].path == "a/disk1.vmdk"


@every_packer
async def test_a_missing_disk_is_named(local_agent: HostAgent, tmp_path: Path, packer: Packer) -> None:
    path = packer(tmp_path, {"web.ovf": ovf(["gone.vmdk"])})
    with pytest.raises(InvalidSourceError, match=r"gone\.vmdk"):
        await read(local_agent, path)


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
async def test_an_ovf_that_virt_v2v_would_not_find_is_told(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    with pytest.raises(InvalidSourceError, match=r"rename 'WEB\.OVF'"):
        await read(local_agent, packer(tmp_path, {"WEB.OVF": ovf(), "disk1.vmdk": vmdk(tmp_path)}))


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
async def test_a_manifest_that_names_what_is_there_is_fine(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    disk = vmdk(tmp_path)
    manifest = f"SHA256(disk1.vmdk)= {hashlib.sha256(disk).hexdigest()}\n".encode()
    path = packer(tmp_path, {"web.ovf": ovf(), "web.mf": manifest, "disk1.vmdk": disk})
    assert (await read(local_agent, path)).config.name == "web-1"


@every_packer
async def test_a_manifest_that_names_a_missing_file_is_told(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    manifest = f"SHA256(gone.vmdk)= {'0' * 64}\n".encode()
    path = packer(tmp_path, {"web.ovf": ovf(), "web.mf": manifest, "disk1.vmdk": vmdk(tmp_path)})
    with pytest.raises(InvalidSourceError, match=r"gone\.vmdk"):
        await read(local_agent, path)


@every_packer
async def test_several_vms_are_told_with_their_ids(
    local_agent: HostAgent, tmp_path: Path, packer: Packer
) -> None:
    disk = vmdk(tmp_path)
    path = packer(
        tmp_path, {"web.ovf": ovf_collection(["one", "two"]), "disk1.vmdk": disk, "disk2.vmdk": disk}
    )
    for vm_id in (None, "one"):
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
    with pytest.raises(InvalidSourceError):
        await read(local_agent, path)


@every_packer
async def test_an_ovf_that_is_no_xml_is_told(local_agent: HostAgent, tmp_path: Path, packer: Packer) -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Envelope>&b;</Envelope>'
    for data in (b"", b"<Envelope", b"\xff\xfe\0", bomb):
        with pytest.raises(InvalidSourceError):
            await read(local_agent, packer(tmp_path, {"web.ovf": data, "disk1.vmdk": vmdk(tmp_path)}))


async def test_a_missing_ova_is_not_found(local_agent: HostAgent, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        await read(local_agent, tmp_path / "none.ova")


def test_virt_v2v_is_given_the_path_as_it_is() -> None:
    spec = OvaSource(kind="ova", path="/srv/-o $(x)\n.ova")
    config = Ova().input(spec, None, request(), "/a")  # type: ignore[arg-type]  # the path is all it needs
    assert config.argv == ("-i", "ova", "/srv/-o $(x)\n.ova")


def test_its_disks_can_not_be_left_out() -> None:
    wanted = request(disks=[{"source_disk_id": "d", "include": False}, {"source_disk_id": "e"}])
    assert [pointer for pointer, _ in Ova().unsupported(wanted)] == ["/disks/0/include"]
