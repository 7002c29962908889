"""Archives: listed, read and looked into without unpacking; tricks are refused."""

import gzip
import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import InvalidSourceError, SourceNotFoundError, UnsafeImageError
from app.proxy.agent_client import HostAgent, ImageInfo, TarIndex

MIB = 1 << 20


class Archives:
    """A source root with one archive in it."""

    def __init__(self, root: Path, agent: HostAgent) -> None:
        self.root, self.agent = root, agent
        self.path = root / "it's $(an) ova"

    def pack(self, members: dict[str, bytes], *, mode: str = "w") -> None:
        with tarfile.open(self.path, mode) as tar:  # type: ignore[call-overload]  # mode is a plain str here
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

    def pack_odd(self, change: Callable[[tarfile.TarInfo], None]) -> None:
        with tarfile.open(self.path, "w") as tar:
            info = tarfile.TarInfo("odd")
            change(info)
            tar.addfile(info)

    def pack_sparse(self) -> None:
        with (self.root / "sparse").open("wb") as file:
            file.truncate(MIB)
        subprocess.run(["tar", "-S", "-C", str(self.root), "-cf", str(self.path), "sparse"], check=True)

    async def list(self) -> TarIndex:
        return await self.agent.tar_list(str(self.path), roots=[str(self.root)])

    async def read(self, member: str, limit_bytes: int = 1000) -> bytes:
        return await self.agent.tar_read(
            str(self.path), member, roots=[str(self.root)], limit_bytes=limit_bytes
        )

    async def image(self, member: str) -> ImageInfo:
        return await self.agent.tar_image_info(str(self.path), member, roots=[str(self.root)])

    def made(self, form: str, *options: str) -> bytes:
        """The bytes of a real image."""
        image = self.root / "image"
        command = ["qemu-img", "create", "-q", "-f", form, *options, str(image), str(8 * MIB)]
        subprocess.run(command, check=True)
        return image.read_bytes()


@pytest.fixture
def archives(tmp_path: Path, local_agent: HostAgent) -> Archives:
    return Archives(tmp_path, local_agent)


@pytest.mark.parametrize(("mode", "compressed"), [("w", False), ("w:gz", True)])
async def test_the_members_are_told_in_order(archives: Archives, mode: str, *, compressed: bool) -> None:
    archives.pack({"vm.ovf": b"<ovf/>", "./a dir/disk 'ü'": b"12345"}, mode=mode)
    index = await archives.list()
    assert index.compressed is compressed
    assert [(m.name, m.size_bytes) for m in index.members] == [("vm.ovf", 6), ("a dir/disk 'ü'", 5)]


async def test_an_offset_is_where_the_bytes_are(archives: Archives) -> None:
    archives.pack({"a": b"x" * 700, "b": b"here"})
    member = (await archives.list()).members[1]
    assert archives.path.read_bytes()[member.offset :][: member.size_bytes] == b"here"


@pytest.mark.parametrize("mode", ["w", "w:gz"])
async def test_a_member_is_read_whole_or_not_at_all(archives: Archives, mode: str) -> None:
    archives.pack({"./vm.ovf": b"<ovf/>"}, mode=mode)
    assert await archives.read("vm.ovf") == b"<ovf/>"
    with pytest.raises(InvalidSourceError, match="longer"):
        await archives.read("vm.ovf", limit_bytes=5)
    with pytest.raises(SourceNotFoundError):
        await archives.read("other")


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "..", "bad\udcff"])
async def test_a_member_outside_the_archive_is_refused(archives: Archives, name: str) -> None:
    archives.pack_odd(lambda info: setattr(info, "name", name))
    with pytest.raises(InvalidSourceError):
        await archives.list()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
async def test_links_and_devices_are_refused(archives: Archives, kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, "/etc/passwd"

    archives.pack_odd(change)
    with pytest.raises(InvalidSourceError, match="no plain file"):
        await archives.list()


async def test_a_sparse_member_is_refused(archives: Archives) -> None:
    archives.pack_sparse()
    with pytest.raises(InvalidSourceError, match="no plain file"):
        await archives.list()


async def test_a_name_that_comes_twice_is_refused(archives: Archives) -> None:
    archives.pack({"a": b"1", "./a": b"2"})
    with pytest.raises(InvalidSourceError, match="twice"):
        await archives.list()


@pytest.mark.parametrize(
    "content", [b"", b"no tar at all" * 100, b"\x1f\x8bbroken", gzip.compress(b"x" * 2000, mtime=0)]
)
async def test_what_is_no_archive_is_refused(archives: Archives, content: bytes) -> None:
    archives.path.write_bytes(content)
    with pytest.raises(InvalidSourceError):
        await archives.list()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
async def test_an_archive_that_is_cut_off_is_refused(archives: Archives, mode: str) -> None:
    archives.pack({"a": bytes(range(256)) * 40}, mode=mode)
    archives.path.write_bytes(archives.path.read_bytes()[: 900 if mode == "w" else 60])
    with pytest.raises(InvalidSourceError):
        await archives.list()


async def test_a_header_that_claims_huge_extensions_is_refused(archives: Archives) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    archives.path.write_bytes(info.tobuf(tarfile.GNU_FORMAT).ljust(4096, b"\0"))
    with pytest.raises(InvalidSourceError):
        await archives.list()


@pytest.mark.parametrize(
    ("form", "options"), [("vmdk", ("-o", "subformat=streamOptimized")), ("qcow2", ()), ("raw", ())]
)
async def test_an_image_inside_is_described(archives: Archives, form: str, options: tuple[str, ...]) -> None:
    data = archives.made(form, *options)
    archives.pack({"vm.ovf": b"<ovf/>", "disk": data})
    found = await archives.image("disk")
    assert (found.path, found.format, found.virtual_bytes) == ("disk", form, 8 * MIB)
    assert found.actual_bytes == len(data)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
async def test_a_compressed_image_is_described_by_its_beginning(archives: Archives, mode: str) -> None:
    data = archives.made("vmdk", "-o", "subformat=streamOptimized")
    archives.pack({"disk.vmdk.gz": gzip.compress(data)}, mode=mode)
    found = await archives.image("disk.vmdk.gz")
    assert (found.format, found.virtual_bytes) == ("vmdk", 8 * MIB)


async def test_a_compressed_raw_image_is_refused_with_a_way_out(archives: Archives) -> None:
    archives.pack({"disk.gz": gzip.compress(bytes(MIB))})
    with pytest.raises(InvalidSourceError, match="Unpack it"):
        await archives.image("disk.gz")


async def test_an_image_inside_may_refer_to_nothing(archives: Archives) -> None:
    data = archives.made("qcow2", "-u", "-b", "/etc/passwd", "-F", "raw")
    archives.pack({"disk": data})
    with pytest.raises(UnsafeImageError):
        await archives.image("disk")
