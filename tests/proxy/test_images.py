"""Disk images are looked at safely: real ones made by qemu-img, and hostile ones made by hand."""

import struct
import subprocess
from pathlib import Path

import pytest

from app.errors import InvalidSourceError, SourceNotFoundError, UnsafeImageError
from app.proxy.agent_client import HostAgent, ImageInfo

MIB = 1 << 20


class Images:
    """A source root to put images into, beside a directory that none of them may reach."""

    def __init__(self, directory: Path, agent: HostAgent) -> None:
        self.agent = agent
        self.root = directory / "root"
        self.outside = directory / "outside"
        self.root.mkdir()
        self.outside.mkdir()
        create(self.outside / "secret.img", "raw")

    async def info(self, name: str, *, format: str | None = None) -> ImageInfo:  # noqa: A002
        return await self.agent.image_info(str(self.root / name), roots=[str(self.root)], format=format)

    async def refuses(self, name: str, kind: type[Exception] = UnsafeImageError) -> None:
        with pytest.raises(kind):
            await self.info(name)


@pytest.fixture
def images(tmp_path: Path, local_agent: HostAgent) -> Images:
    return Images(tmp_path, local_agent)


def create(path: Path, form: str, *options: str, size: int = MIB) -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", form, *options, str(path), str(size)], check=True)
    return path


def backed(path: Path, backing: str, form: str | None = "raw") -> Path:
    """A qcow2 image that says it has this backing file, whatever that is."""
    create(path, "qcow2")
    command = ["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", backing, "-F", form or "raw", str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.mark.parametrize("form", ["raw", "qcow2", "vmdk", "vdi", "vhdx", "vpc", "qed", "qcow"])
async def test_each_format_is_known_by_its_header(images: Images, form: str) -> None:
    create(images.root / "it's a $(disk)", form, size=8 * MIB)
    found = await images.info("it's a $(disk)")
    assert found.format == form
    assert 8 * MIB <= found.virtual_bytes < 9 * MIB


@pytest.mark.parametrize("subformat", ["streamOptimized", "monolithicFlat", "twoGbMaxExtentSparse"])
async def test_a_vmdk_with_its_parts_beside_it_is_fine(images: Images, subformat: str) -> None:
    create(images.root / "disk.vmdk", "vmdk", "-o", f"subformat={subformat}", size=8 * MIB)
    assert (await images.info("disk.vmdk")).virtual_bytes == 8 * MIB


async def test_a_fixed_vhd_is_known_by_its_end(images: Images) -> None:
    create(images.root / "disk.vhd", "vpc", "-o", "subformat=fixed", size=8 * MIB)
    assert (await images.info("disk.vhd")).format == "vpc"


async def test_raw_stays_raw_whatever_the_guest_wrote_into_it(images: Images) -> None:
    backed(images.root / "disk.img", "/etc/passwd")
    found = await images.info("disk.img", format="raw")
    assert (found.format, found.virtual_bytes < MIB) == ("raw", True)


async def test_a_header_of_another_format_than_said_is_refused(images: Images) -> None:
    create(images.root / "disk", "raw")
    with pytest.raises(InvalidSourceError):
        await images.info("disk", format="qcow2")
    with pytest.raises(InvalidSourceError):
        await images.info("disk", format="no-such-format")


async def test_a_chain_in_its_own_directory_is_fine(images: Images) -> None:
    create(images.root / "base.img", "raw", size=2 * MIB)
    backed(images.root / "middle.qcow2", "base.img")
    backed(images.root / "top.qcow2", str(images.root / "middle.qcow2"), "qcow2")
    assert (await images.info("top.qcow2")).format == "qcow2"


@pytest.mark.parametrize(
    "backing",
    [
        "{outside}/secret.img",
        "../outside/secret.img",
        "link.img",
        "/etc/no-such-file",
        'json:{{"driver":"raw","file":{{"driver":"file","filename":"/etc/passwd"}}}}',
        "nbd://127.0.0.1:1/x",
        "https://127.0.0.1/disk",
        "file:secret.img",
        "fat:/etc",
    ],
)
async def test_a_backing_file_elsewhere_is_unsafe(images: Images, backing: str) -> None:
    (images.root / "link.img").symlink_to(images.outside / "secret.img")
    backed(images.root / "disk.qcow2", backing.format(outside=images.outside))
    await images.refuses("disk.qcow2")


async def test_a_backing_file_elsewhere_is_found_down_the_chain(images: Images) -> None:
    backed(images.root / "middle.qcow2", "/etc/passwd")
    backed(images.root / "top.qcow2", "middle.qcow2", "qcow2")
    await images.refuses("top.qcow2")


async def test_a_backing_file_without_a_format_is_looked_at_as_qemu_would(images: Images) -> None:
    create(images.root / "disk.qcow", "qcow")
    backed(images.root / "middle", "/etc/passwd")
    with (images.root / "disk.qcow").open("r+b") as image:
        image.seek(8)
        image.write(struct.pack(">QI", 4096, len("middle")))
        image.seek(4096)
        image.write(b"middle")
    await images.refuses("disk.qcow")


async def test_a_chain_that_bites_its_tail_is_unsafe(images: Images) -> None:
    backed(images.root / "a.qcow2", "b.qcow2", "qcow2")
    backed(images.root / "b.qcow2", "a.qcow2", "qcow2")
    await images.refuses("a.qcow2")


async def test_a_missing_backing_file_is_said_so(images: Images) -> None:
    backed(images.root / "disk.qcow2", "absent.img")
    await images.refuses("disk.qcow2", InvalidSourceError)


async def test_a_data_file_elsewhere_is_unsafe_and_one_beside_it_is_fine(images: Images) -> None:
    option = f"data_file={images.outside}/data"
    create(images.root / "bad.qcow2", "qcow2", "-o", option)
    create(images.root / "good.qcow2", "qcow2", "-o", f"data_file={images.root}/data")
    await images.refuses("bad.qcow2")
    assert (await images.info("good.qcow2")).virtual_bytes == MIB


async def test_a_data_file_without_a_name_is_unsafe(images: Images) -> None:
    create(images.root / "disk.qcow2", "qcow2")
    with (images.root / "disk.qcow2").open("r+b") as image:
        image.seek(72)
        image.write(struct.pack(">Q", 4))
    await images.refuses("disk.qcow2")


@pytest.mark.parametrize(
    "line",
    [
        'RW 2048 FLAT "{outside}/secret.img" 0',
        'RW 2048 FLAT "../outside/secret.img" 0',
        'RW\n 2048\n FLAT\n "{outside}/secret.img" 0',
        'RW +2048 VMFS "nbd://127.0.0.1:1/x" 0',
        'parentFileNameHint="{outside}/secret.img"',
        'parentFileNameHint??{outside}/secret.img"',
    ],
)
async def test_a_vmdk_that_reaches_elsewhere_is_unsafe(images: Images, line: str) -> None:
    text = '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
    (images.root / "disk.vmdk").write_text(text + line.format(outside=images.outside) + "\n")
    await images.refuses("disk.vmdk")


async def test_a_parent_where_only_qemu_looks_for_it_is_unsafe(images: Images) -> None:
    image = create(images.root / "disk.vmdk", "vmdk")
    with image.open("r+b") as file:
        file.seek(28)
        file.write(struct.pack("<Q", 0))
        file.seek(512)
        file.write(b'x\nparentFileNameHint="/etc/passwd"\n\0')
    await images.refuses("disk.vmdk")


async def test_a_vmdk_without_a_capacity_is_read_as_a_descriptor(images: Images) -> None:
    descriptor = b'createType="monolithicFlat"\nRW 2048 FLAT "/etc/passwd" 0\n'
    head = b"KDMV" + struct.pack("<IIQQQQ", 1, 3, 0, 128, 2, 20)
    (images.root / "disk.vmdk").write_bytes(head.ljust(1024, b"\0") + descriptor.ljust(20 * 512, b"\0"))
    await images.refuses("disk.vmdk")


async def test_an_empty_or_cut_off_image_is_no_crash(images: Images) -> None:
    (images.root / "empty").touch()
    (images.root / "cut.qcow2").write_bytes(b"QFI\xfb\0\0\0\3\0")
    assert (await images.info("empty")).virtual_bytes == 0
    await images.refuses("cut.qcow2", InvalidSourceError)


async def test_a_directory_is_no_image(images: Images) -> None:
    (images.root / "folder").mkdir()
    await images.refuses("folder", InvalidSourceError)


async def test_a_result_is_described_in_the_format_that_was_ordered(images: Images) -> None:
    create(images.outside / "made", "qcow2", size=8 * MIB)
    found = await images.agent.disk_result(str(images.outside / "made"), format="qcow2")
    assert found.virtual_bytes == 8 * MIB
    assert found.actual_bytes > 0
    with pytest.raises(SourceNotFoundError):
        await images.agent.disk_result(str(images.outside / "absent"), format="qcow2")
    with pytest.raises(InvalidSourceError):
        await images.agent.disk_result(str(images.outside / "secret.img"), format="qcow2")
