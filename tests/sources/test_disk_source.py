"""A single disk image as a source, looked at by the real agent."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import InvalidSourceError, SourceNotAllowedError, SourceNotFoundError, UnsafeImageError
from app.proxy.agent_client import HostAgent
from app.sources.base import Site
from app.sources.disk import Disk, DiskSource
from tests.support.images import MIB, make_backed, make_image
from tests.support.requests import request

HOSTILE_NAMES = ["a b.img", 'it\'s "x".img', "$(touch x).img", "new\nline.img", "-dash.img", "a:b,c=d.img"]


def spec(path: Path) -> DiskSource:
    return DiskSource(kind="disk", path=str(path))


@pytest.mark.parametrize("format_name", ["raw", "qcow2", "vmdk", "vdi"])
async def test_the_header_tells_format_and_size(
    local_agent: HostAgent, tmp_path: Path, format_name: str
) -> None:
    image = make_image(tmp_path / "web.1.img", format_name)
    reading = await Disk().read(spec(image), Site(local_agent, [str(tmp_path)]))
    (disk,) = reading.config.disks
    assert (disk.format, disk.capacity_bytes, disk.path) == (format_name, 4 * MIB, str(image))
    assert reading.work_bytes == 0


async def test_the_vm_is_named_after_the_file(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.1.img", "raw")
    reading = await Disk().read(spec(image), Site(local_agent, [str(tmp_path)]))
    assert reading.config.name == "web.1"


async def test_the_vm_has_what_virt_v2v_gives_a_bare_disk(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.img", "raw")
    config = (await Disk().read(spec(image), Site(local_agent, [str(tmp_path)]))).config
    assert (config.cpu_count, config.memory_bytes) == (1, 2 * 2**30)
    assert [nic.network for nic in config.nics] == ["default"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_a_hostile_name_is_one_argument(local_agent: HostAgent, tmp_path: Path, name: str) -> None:
    image = make_image(tmp_path / name, "qcow2")
    config = (await Disk().read(spec(image), Site(local_agent, [str(tmp_path)]))).config
    given = Disk().input(spec(image), config, request(), "/w/attempt")
    assert given.argv == ("-i", "disk", str(image), "-if", "qcow2")
    assert not (tmp_path / "x").exists()


async def test_virt_v2v_is_given_the_file_behind_a_link(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "real.img", "raw")
    link = tmp_path / "link.img"
    link.symlink_to(image)
    config = (await Disk().read(spec(link), Site(local_agent, [str(tmp_path)]))).config
    assert Disk().input(spec(link), config, request(), "/a").argv[2] == str(image)


async def test_an_image_outside_the_roots_is_not_allowed(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.img", "raw")
    (tmp_path / "root").mkdir()
    with pytest.raises(SourceNotAllowedError):
        await Disk().read(spec(image), Site(local_agent, [str(tmp_path / "root")]))


async def test_a_link_out_of_the_roots_is_not_allowed(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "secret.img", "raw")
    root = tmp_path / "root"
    root.mkdir()
    (root / "web.img").symlink_to(image)
    with pytest.raises(SourceNotAllowedError):
        await Disk().read(spec(root / "web.img"), Site(local_agent, [str(root)]))


async def test_without_roots_nothing_is_allowed(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.img", "raw")
    with pytest.raises(SourceNotAllowedError):
        await Disk().read(spec(image), Site(local_agent, []))


async def test_a_missing_image_is_not_found(local_agent: HostAgent, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        await Disk().read(spec(tmp_path / "none.img"), Site(local_agent, [str(tmp_path)]))


async def test_a_folder_is_no_disk(local_agent: HostAgent, tmp_path: Path) -> None:
    with pytest.raises(InvalidSourceError):
        await Disk().read(spec(tmp_path), Site(local_agent, [str(tmp_path)]))


async def test_a_backing_file_elsewhere_is_unsafe(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_backed(tmp_path / "web.qcow2", "/etc/passwd")
    with pytest.raises(UnsafeImageError):
        await Disk().read(spec(image), Site(local_agent, [str(tmp_path)]))


def test_its_only_disk_can_not_be_left_out() -> None:
    wanted = request(disks=[{"source_disk_id": "disk-1", "include": False}])
    assert [pointer for pointer, _ in Disk().unsupported(wanted)] == ["/disks/0/include"]


@pytest.mark.parametrize(
    ("asked", "pointers"),
    [
        ({"mode": "copy"}, []),
        ({"mode": "copy", "root": "first", "time_limit_seconds": 5}, []),
        ({"mode": "copy", "root": "single"}, ["/conversion/root"]),
        ({"mode": "copy", "luks_keys": ["x"], "debug": True}, ["/conversion/luks_keys", "/conversion/debug"]),
        ({"mode": "convert", "root": "single", "luks_keys": ["x"], "debug": True}, []),
    ],
)
def test_what_only_a_conversion_can_do_is_asked_of_no_copy(
    asked: dict[str, object], pointers: list[str]
) -> None:
    assert [pointer for pointer, _ in Disk().unsupported(request(conversion=asked))] == pointers


@pytest.mark.parametrize("path", ["relative.img", "nfs://user@server/web.img", "/srv/../etc/shadow", "/a\0b"])
def test_only_plain_absolute_paths_are_taken(path: str) -> None:
    with pytest.raises(ValidationError):
        DiskSource(kind="disk", path=path)
