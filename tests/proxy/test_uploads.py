"""Uploads on the host: their bytes, one writer at a time, and names that lead nowhere."""

import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.errors import (
    HostError,
    InvalidSourceError,
    NoRoomError,
    SourceNotFoundError,
    UploadChecksumError,
    UploadLockedError,
    UploadLostError,
    UploadOffsetError,
    UploadTooLongError,
)
from app.proxy.agent_client import HostAgent
from app.proxy.uploads import Checksum, Receiving
from tests.support.hosts import INSTALLATION_ID, agent_at
from tests.support.volume import Volume


class Uploads:
    """The uploads of one host."""

    def __init__(self, agent: HostAgent, work_dir: Path) -> None:
        self.agent, self.root = agent, work_dir / "uploads"

    async def make(self, length: int, name: str = "web.img") -> UUID:
        upload_id = uuid4()
        await self.agent.create_upload(upload_id, name, length)
        return upload_id

    async def send(
        self, upload_id: UUID, data: bytes, offset: int = 0, checksum: Checksum | None = None
    ) -> int:
        async with self.agent.receive_upload(upload_id, offset, checksum) as receiving:
            await receiving.send(data)
            return await receiving.finish()

    async def whole(self, data: bytes, name: str = "web.img") -> UUID:
        upload_id = await self.make(len(data), name)
        await self.send(upload_id, data)
        return upload_id

    def data(self, upload_id: UUID) -> bytes:
        return (self.root / str(upload_id) / "data").read_bytes()

    @asynccontextmanager
    async def writer(self, upload_id: UUID, checksum: Checksum | None = None) -> AsyncIterator[Receiving]:
        async with self.agent.receive_upload(upload_id, 0, checksum) as receiving:
            yield receiving


@pytest.fixture
def uploads(local_agent: HostAgent, work_dir: Path) -> Uploads:
    return Uploads(local_agent, work_dir)


@pytest.fixture
def small_disk() -> Iterator[Volume]:
    """A work directory on a file system with room for little."""
    with tempfile.TemporaryDirectory(prefix="v2v-", dir="/tmp") as name:
        volume = Volume(Path(name) / "w", size_bytes=8 << 20)
        volume.mount()
        yield volume
        volume.unmount()


def sha(name: str, data: bytes) -> Checksum:
    return Checksum(name, hashlib.new(name, data).digest())


async def test_bytes_come_in_parts_and_the_file_tells_the_offset(uploads: Uploads) -> None:
    upload_id = await uploads.make(10)
    assert await uploads.agent.upload_offset(upload_id) == 0
    assert await uploads.send(upload_id, b"01234") == 5
    assert await uploads.agent.upload_offset(upload_id) == 5
    assert await uploads.send(upload_id, b"56789", 5) == 10
    assert uploads.data(upload_id) == b"0123456789"


async def test_what_came_before_a_break_stays(uploads: Uploads) -> None:
    upload_id = await uploads.make(10)
    async with uploads.writer(upload_id) as receiving:
        await receiving.send(b"0123")
    assert await uploads.agent.upload_offset(upload_id) == 4


async def test_at_a_wrong_offset_nothing_is_written(uploads: Uploads) -> None:
    upload_id = await uploads.make(10)
    for offset in (1, 10):
        with pytest.raises(UploadOffsetError, match="at 0, not at"):
            await uploads.send(upload_id, b"x", offset)
    assert uploads.data(upload_id) == b""


async def test_too_much_is_dropped_with_all_that_came_with_it(uploads: Uploads) -> None:
    upload_id = await uploads.make(4)
    await uploads.send(upload_id, b"01")
    with pytest.raises(UploadTooLongError):
        await uploads.send(upload_id, b"234", 2)
    assert uploads.data(upload_id) == b"01"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_a_chunk_counts_when_its_checksum_is_right(uploads: Uploads, algorithm: str) -> None:
    upload_id = await uploads.make(8)
    await uploads.send(upload_id, b"0123", checksum=sha(algorithm, b"0123"))
    with pytest.raises(UploadChecksumError):
        await uploads.send(upload_id, b"4567", 4, sha(algorithm, b"something else"))
    assert uploads.data(upload_id) == b"0123"
    assert await uploads.send(upload_id, b"4567", 4, sha(algorithm, b"4567")) == 8


async def test_a_chunk_whose_checksum_was_never_compared_does_not_count(uploads: Uploads) -> None:
    upload_id = await uploads.make(8)
    place = uploads.root / str(upload_id)
    await uploads.send(upload_id, b"01")
    (place / "unproven").write_text("2")
    (place / "data").write_bytes(b"01 left by a writer that was killed"[:8])
    assert await uploads.agent.upload_offset(upload_id) == 2
    assert await uploads.send(upload_id, b"234567", 2) == 8
    assert uploads.data(upload_id) == b"01234567"


async def test_a_second_writer_is_refused_while_the_first_is_there(uploads: Uploads) -> None:
    upload_id = await uploads.make(4)
    async with uploads.writer(upload_id) as receiving:
        with pytest.raises(UploadLockedError):
            await uploads.send(upload_id, b"xx")
        await receiving.send(b"01")
        assert await receiving.finish() == 2
    assert await uploads.send(upload_id, b"23", 2) == 4


async def test_an_upload_that_is_not_there_is_lost(uploads: Uploads) -> None:
    for act in (uploads.agent.upload_offset(uuid4()), uploads.send(uuid4(), b"x")):
        with pytest.raises(UploadLostError):
            await act


async def test_one_that_is_removed_under_its_writer_is_lost(uploads: Uploads) -> None:
    upload_id = await uploads.make(4)
    async with uploads.writer(upload_id) as receiving:
        await uploads.agent.remove_upload(upload_id)
        await receiving.send(b"0123")
        with pytest.raises(UploadLostError):
            await receiving.finish()
    assert list(uploads.root.iterdir()) == []


async def test_a_full_disk_is_said_so_and_what_fitted_stays(small_disk: Volume) -> None:
    uploads = Uploads(agent_at(small_disk.path), small_disk.path)
    upload_id = await uploads.make(6 << 20)
    await uploads.send(upload_id, bytes(1 << 20))
    small_disk.fill()
    with pytest.raises(NoRoomError):
        await uploads.send(upload_id, bytes(5 << 20), 1 << 20)
    small_disk.free()
    offset = await uploads.agent.upload_offset(upload_id)
    assert await uploads.send(upload_id, bytes((6 << 20) - offset), offset) == 6 << 20


async def test_without_room_for_all_of_it_nothing_is_made(small_disk: Volume) -> None:
    uploads = Uploads(agent_at(small_disk.path), small_disk.path)
    with pytest.raises(NoRoomError):
        await uploads.make(16 << 20)
    with pytest.raises(NoRoomError):
        await uploads.agent.create_upload(uuid4(), "x", 6 << 20, others_bytes=4 << 20)
    assert list(uploads.root.iterdir()) == []


async def test_a_removal_takes_all_and_may_be_repeated(uploads: Uploads) -> None:
    upload_id = await uploads.whole(b"x")
    await uploads.agent.gather_uploads([upload_id])
    for _ in range(2):
        await uploads.agent.remove_upload(upload_id)
    assert list(uploads.root.iterdir()) == []


@pytest.mark.parametrize("name", ["plain.img", "a b'\"$(x)\n.qcow2", "-rf", "ü" * 100, ".hidden"])
async def test_a_file_keeps_its_name_whatever_is_in_it(uploads: Uploads, name: str) -> None:
    gathered = await uploads.agent.gather_uploads([await uploads.whole(b"x", name)])
    assert [file.name for file in gathered.files] == [name]
    assert (Path(gathered.directory) / name).read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "..", ".", "a/..", "/"])
async def test_no_name_leads_elsewhere(uploads: Uploads, name: str) -> None:
    gathered = await uploads.agent.gather_uploads([await uploads.whole(b"x", name)])
    [file] = gathered.files
    assert file.name in {"passwd", "file"}
    assert (Path(gathered.directory) / file.name).resolve().is_relative_to(uploads.root)


async def test_several_lie_together_and_may_be_gathered_again(uploads: Uploads) -> None:
    ids = [await uploads.whole(b"<domain/>", "web.xml"), await uploads.whole(bytes(512), "web.img")]
    first, second = [await uploads.agent.gather_uploads(ids) for _ in range(2)]
    assert first == second
    assert {path.name for path in uploads.root.glob("*/sets/*/*")} == {"web.img", "web.xml"}
    assert [file.form for file in first.files] == ["xml", "raw"]


async def test_two_of_one_name_are_refused(uploads: Uploads) -> None:
    ids = [await uploads.whole(b"1", "a/disk"), await uploads.whole(b"2", "b/disk")]
    with pytest.raises(InvalidSourceError, match="named 'disk'"):
        await uploads.agent.gather_uploads(ids)


async def test_what_is_incomplete_or_gone_is_not_gathered(uploads: Uploads) -> None:
    with pytest.raises(InvalidSourceError, match="not complete"):
        await uploads.agent.gather_uploads([await uploads.make(1)])
    with pytest.raises(SourceNotFoundError):
        await uploads.agent.gather_uploads([uuid4()])


async def test_what_is_no_id_becomes_no_file_name(uploads: Uploads) -> None:
    for bad in ("../x", "", "x" * 36):
        with pytest.raises(HostError):
            await uploads.agent._ask("upload_offset", upload_id=bad)


async def test_uploads_carry_a_mark_and_are_listed(uploads: Uploads) -> None:
    upload_id = await uploads.whole(bytes(5000))
    [found] = (await uploads.agent.inventory(storage=[], most=10, seconds=5)).uploads
    assert (found.attempt_id, found.installation_id) == (upload_id, INSTALLATION_ID)
    assert found.path == str(uploads.root / str(upload_id))
    assert (found.size_bytes or 0) >= 5000


async def test_an_upload_that_was_half_removed_is_listed_too(uploads: Uploads) -> None:
    upload_id = await uploads.make(1)
    for name in ("data", "told.json"):
        (uploads.root / str(upload_id) / name).unlink()
    (uploads.root / str(upload_id)).rename(uploads.root / f".v2v-import-attempt-{upload_id}")
    [found] = (await uploads.agent.inventory(storage=[], most=10, seconds=5)).uploads
    assert found.attempt_id == upload_id
    await uploads.agent.remove_upload(upload_id)
    assert list(uploads.root.iterdir()) == []
