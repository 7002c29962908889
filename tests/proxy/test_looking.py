"""Looking into source roots: what lies there, and nothing else."""

import os
from pathlib import Path

import pytest

from app.errors import (
    InvalidSourceError,
    SourceNotAllowedError,
    SourceNotFoundError,
    SourceUnreadableError,
)
from app.proxy.agent_client import HostAgent, PathKind

ODD_NAME = 'it\'s a "$(disk)"\n-rf ü'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "sources"
    directory.mkdir()
    return directory


async def test_a_file_is_told_with_its_size(local_agent: HostAgent, root: Path) -> None:
    (root / ODD_NAME).write_bytes(b"12345")
    found = await local_agent.look(str(root / ODD_NAME), roots=[str(root)])
    assert (found.kind, found.size_bytes, found.path) == (PathKind.FILE, 5, str(root / ODD_NAME))


async def test_a_directory_is_told_with_the_names_in_it(local_agent: HostAgent, root: Path) -> None:
    (root / "b").touch()
    (root / "a").mkdir()
    (root / os.fsdecode(b"not-\xff-utf8")).touch()
    found = await local_agent.look(str(root), roots=[str(root)])
    assert (found.kind, found.names) == (PathKind.DIRECTORY, ("a", "b"))


async def test_a_link_inside_the_roots_is_followed(local_agent: HostAgent, root: Path) -> None:
    (root / "disk").touch()
    (root / "link").symlink_to("disk")
    assert (await local_agent.look(str(root / "link"), roots=[str(root)])).path == str(root / "disk")


async def test_a_root_that_is_a_link_itself_counts(local_agent: HostAgent, root: Path) -> None:
    (root / "disk").touch()
    alias = root.parent / "alias"
    alias.symlink_to(root)
    assert (await local_agent.look(str(alias / "disk"), roots=[str(alias)])).path == str(root / "disk")


@pytest.mark.parametrize("path", ["{root}/link", "{root}/../secret", "/etc/passwd", "relative", "{root}2/x"])
async def test_nothing_outside_the_roots_is_told(local_agent: HostAgent, root: Path, path: str) -> None:
    (root.parent / "secret").write_text("secret")
    (root / "link").symlink_to(root.parent / "secret")
    outside = root.with_name(root.name + "2")
    outside.mkdir()
    (outside / "x").touch()
    with pytest.raises(SourceNotAllowedError):
        await local_agent.read(path.format(root=root), roots=[str(root)], limit_bytes=100)


async def test_without_roots_nothing_is_allowed(local_agent: HostAgent, root: Path) -> None:
    with pytest.raises(SourceNotAllowedError):
        await local_agent.look(str(root), roots=[])


async def test_what_is_not_there_is_said_so(local_agent: HostAgent, root: Path) -> None:
    (root / "file").touch()
    for path in (root / "absent", root / "file" / "below"):
        with pytest.raises(SourceNotFoundError):
            await local_agent.look(str(path), roots=[str(root)])


async def test_a_fifo_is_refused_and_does_not_hang(local_agent: HostAgent, root: Path) -> None:
    os.mkfifo(root / "fifo")
    with pytest.raises(SourceUnreadableError):
        await local_agent.look(str(root / "fifo"), roots=[str(root)])


async def test_a_circle_of_links_is_unreadable(local_agent: HostAgent, root: Path) -> None:
    (root / "circle").symlink_to("circle")
    with pytest.raises(SourceUnreadableError):
        await local_agent.look(str(root / "circle"), roots=[str(root)])


async def test_a_file_is_read_whole_or_not_at_all(local_agent: HostAgent, root: Path) -> None:
    (root / "vm.xml").write_bytes(b"\0\xff\r\n")
    assert await local_agent.read(str(root / "vm.xml"), roots=[str(root)], limit_bytes=4) == b"\0\xff\r\n"
    with pytest.raises(InvalidSourceError, match="longer than 3"):
        await local_agent.read(str(root / "vm.xml"), roots=[str(root)], limit_bytes=3)
    with pytest.raises(InvalidSourceError):
        await local_agent.read(str(root), roots=[str(root)], limit_bytes=3)


async def test_a_result_is_read_and_one_that_is_missing_is_said_so(
    local_agent: HostAgent, root: Path
) -> None:
    (root / "vm.ovf").write_bytes(b"<x/>")
    assert await local_agent.read_result(str(root / "vm.ovf"), limit_bytes=10) == b"<x/>"
    with pytest.raises(SourceNotFoundError):
        await local_agent.read_result(str(root / "none.ovf"), limit_bytes=10)
