"""Storage directories: only what an attempt made is changed or removed."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.errors import DomainUnusableError, FencedError, NoRoomError
from app.proxy.agent_client import HostAgent
from tests.support.volume import Volume

MIB = 1 << 20
ODD_NAMES = ["plain", "with space", 'it\'s "$(odd)"', "-rf", "new\nline", "ü"]


class Storage:
    """A storage directory, and one attempt that works in it."""

    def __init__(self, directory: Path, agent: HostAgent) -> None:
        self.agent, self.directory = agent, directory
        self.attempt = uuid4()
        self.vm = directory / "vm"

    async def make(self, path: Path | None = None, *, attempt: UUID | None = None, turn: int = 1) -> Path:
        await self.agent.make_dir(str(path or self.vm), attempt or self.attempt, turn)
        return path or self.vm

    async def remove(self, path: Path | None = None, *, attempt: UUID | None = None, turn: int = 1) -> None:
        await self.agent.remove_tree(str(path or self.vm), attempt or self.attempt, turn)

    async def image(self, name: str = "disk", *, form: str = "raw", preallocated: bool = False) -> Path:
        await self.agent.make_image(
            str(self.vm / name),
            self.attempt,
            1,
            format=form,
            capacity_bytes=MIB,
            preallocated=preallocated,
            mode=0o640,
        )
        return self.vm / name

    def left(self) -> list[str]:
        return sorted(entry.name for entry in self.directory.rglob("*"))


@pytest.fixture
def storage(tmp_path: Path, local_agent: HostAgent) -> Storage:
    return Storage(tmp_path, local_agent)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_what_was_made_is_removed_whole(storage: Storage, name: str) -> None:
    directory = await storage.make(storage.directory / name)
    (directory / "sub").mkdir()
    (directory / "sub" / name).write_text("x")
    (directory / "link").symlink_to("/etc")
    await storage.remove(directory)
    await storage.remove(directory)
    assert storage.left() == []


async def test_making_a_directory_twice_is_fine_and_sets_its_mode(storage: Storage) -> None:
    await storage.make()
    await storage.agent.make_dir(
        str(storage.vm), storage.attempt, 1, mode=0o750, owner=(os.getuid(), os.getgid())
    )
    assert mode_of(storage.vm) == 0o750


async def test_a_directory_that_was_there_is_not_ours(storage: Storage) -> None:
    storage.vm.mkdir()
    (storage.vm / "precious").touch()
    with pytest.raises(DomainUnusableError):
        await storage.make()
    with pytest.raises(DomainUnusableError):
        await storage.remove()
    assert storage.left() == ["precious", "vm"]


async def test_another_attempts_directory_is_not_ours(storage: Storage) -> None:
    await storage.make(attempt=uuid4())
    with pytest.raises(DomainUnusableError):
        await storage.make()
    with pytest.raises(DomainUnusableError):
        await storage.remove()
    with pytest.raises(DomainUnusableError):
        await storage.image()


async def test_a_link_to_our_directory_is_not_removed_through(storage: Storage) -> None:
    await storage.make()
    (storage.directory / "link").symlink_to(storage.vm)
    with pytest.raises(DomainUnusableError):
        await storage.remove(storage.directory / "link")


@pytest.mark.parametrize("path", ["relative", "/a/../b"])
async def test_a_path_that_is_not_plain_is_refused(storage: Storage, path: str) -> None:
    with pytest.raises(DomainUnusableError):
        await storage.make(Path(path))


async def test_a_parent_that_is_missing_is_not_made(storage: Storage) -> None:
    with pytest.raises(DomainUnusableError):
        await storage.make(storage.directory / "no" / "vm")


async def test_an_older_turn_makes_and_removes_nothing(storage: Storage) -> None:
    await storage.make(turn=2)
    with pytest.raises(FencedError):
        await storage.remove(turn=1)
    with pytest.raises(FencedError):
        await storage.make(storage.directory / "late", turn=1)
    assert not (storage.directory / "late").exists()


async def test_a_removal_that_was_cut_short_is_finished_by_the_next(storage: Storage) -> None:
    await storage.make()
    staged = storage.directory / f".v2v-import-attempt-{storage.attempt}"
    storage.vm.rename(staged)
    (staged / ".v2v-import-attempt").unlink()
    await storage.remove()
    assert storage.left() == []


async def test_without_its_marker_the_directory_is_the_vms(storage: Storage) -> None:
    await storage.make()
    await storage.agent.clear_marker(str(storage.vm), storage.attempt, 1)
    await storage.agent.clear_marker(str(storage.vm), storage.attempt, 1)
    with pytest.raises(DomainUnusableError):
        await storage.remove()
    await storage.agent.mark(str(storage.vm), storage.attempt, 1)
    await storage.agent.mark(str(storage.vm), storage.attempt, 1)
    await storage.remove()
    assert storage.left() == []


async def test_marking_what_is_gone_is_fine_and_what_is_anothers_is_not(storage: Storage) -> None:
    await storage.agent.mark(str(storage.vm), storage.attempt, 1)
    await storage.make(attempt=uuid4())
    with pytest.raises(DomainUnusableError):
        await storage.agent.mark(str(storage.vm), storage.attempt, 1)


@pytest.mark.parametrize("form", ["raw", "qcow2"])
@pytest.mark.parametrize("preallocated", [False, True])
async def test_an_image_has_its_size_and_mode(storage: Storage, form: str, *, preallocated: bool) -> None:
    await storage.make()
    image = await storage.image(form=form, preallocated=preallocated)
    found = await storage.agent.disk_result(str(image), format=form)
    assert (found.virtual_bytes, mode_of(image)) == (MIB, 0o640)
    assert (found.actual_bytes >= MIB) is preallocated


async def test_an_image_that_is_there_is_left_alone(storage: Storage) -> None:
    await storage.make()
    image = await storage.image()
    image.write_bytes(b"filled by virt-v2v")
    await storage.image()
    assert image.read_bytes() == b"filled by virt-v2v"


async def test_an_image_that_does_not_fit_leaves_nothing(storage: Storage) -> None:
    await storage.make()
    with pytest.raises(NoRoomError):
        await storage.agent.make_image(
            str(storage.vm / "disk"),
            storage.attempt,
            1,
            format="raw",
            capacity_bytes=1 << 60,
            preallocated=True,
        )
    assert storage.left() == [".v2v-import-attempt", "vm"]


async def test_files_are_written_only_into_our_directory(storage: Storage) -> None:
    await storage.make()
    await storage.agent.put_file(str(storage.vm / "vm.xml"), b"<a/>", storage.attempt, 1)
    await storage.agent.put_file(str(storage.vm / "vm.xml"), b"<b/>", storage.attempt, 1, mode=0o600)
    assert ((storage.vm / "vm.xml").read_bytes(), mode_of(storage.vm / "vm.xml")) == (b"<b/>", 0o600)
    with pytest.raises(DomainUnusableError):
        await storage.agent.put_file(str(storage.directory / "vm.xml"), b"", storage.attempt, 1)


async def test_an_owner_is_set_but_not_through_a_link(storage: Storage) -> None:
    await storage.make()
    image = await storage.image()
    await storage.agent.set_owner(
        str(image), storage.attempt, 1, mode=0o600, owner=(os.getuid(), os.getgid())
    )
    assert mode_of(image) == 0o600
    target = storage.directory / "target"
    target.touch(mode=0o644)
    (storage.vm / "link").symlink_to(target)
    with pytest.raises(DomainUnusableError):
        await storage.agent.set_owner(str(storage.vm / "link"), storage.attempt, 1, mode=0o777, owner=None)
    assert mode_of(target) == 0o644


async def test_a_storage_directory_is_probed_and_left_as_it_was(storage: Storage) -> None:
    space = await storage.agent.probe_dir(str(storage.directory))
    assert 0 < space.free_bytes <= space.total_bytes
    assert storage.left() == []


async def test_what_is_no_directory_is_unusable(storage: Storage) -> None:
    (storage.directory / "file").touch()
    for path in ("file", "absent"):
        with pytest.raises(DomainUnusableError):
            await storage.agent.probe_dir(str(storage.directory / path))


@pytest.fixture
def full(tmp_path: Path, local_agent: HostAgent) -> Iterator[tuple[Storage, Volume]]:
    """A storage directory on a file system of its own, which can be filled."""
    volume = Volume(tmp_path / "volume", size_bytes=16 * MIB)
    volume.mount()
    try:
        yield Storage(volume.path, local_agent), volume
    finally:
        volume.unmount()


async def test_what_was_released_is_marked_and_removed_on_a_full_disk(full: tuple[Storage, Volume]) -> None:
    storage, volume = full
    await storage.make()
    await storage.image()
    await storage.agent.clear_marker(str(storage.vm), storage.attempt, 1)
    _fill(volume)
    await storage.agent.mark(str(storage.vm), storage.attempt, 1)
    assert not storage.vm.exists()
    inventory = await storage.agent.inventory(storage=[str(storage.directory)], most=10, seconds=10)
    assert [found.attempt_id for found in inventory.directories] == [storage.attempt]
    await storage.agent.mark(str(storage.vm), storage.attempt, 1)
    await storage.remove()
    assert storage.left() == ["filler"]


def _fill(volume: Volume) -> None:
    """To the last byte."""
    with (volume.path / "filler").open("wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


async def test_a_marker_without_an_installation_is_still_the_attempts(storage: Storage) -> None:
    await storage.make()
    (storage.vm / ".v2v-import-attempt").write_text(str(storage.attempt))
    await storage.image()
    await storage.remove()
    assert storage.left() == []


async def test_what_was_staged_is_no_hindrance_to_a_removal(storage: Storage) -> None:
    await storage.make()
    staged = storage.directory / f".v2v-import-attempt-{storage.attempt}"
    staged.mkdir()
    (staged / ".v2v-import-attempt").write_text(str(storage.attempt))
    await storage.remove()
    assert storage.left() == []
    staged.mkdir()
    await storage.remove(staged)
    assert storage.left() == []
