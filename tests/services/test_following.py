"""Followed attempts: one watcher a host, no line lost or doubled, progress that only grows."""

from uuid import UUID, uuid4

import pytest

from app.db import Database
from app.errors import FencedError
from app.models.imports import ConversionWarning
from app.models.progress import DiskCopyState, DiskProgress, Progress
from app.services import attempts, following, imports, log_chunks, workers
from app.services.following import Heard, ProgressSave
from tests.support.rows import GIB, Site, config, target

CAP = 2**20


class Followed:
    """An import whose attempt is followed."""

    def __init__(self, site: Site, import_id: UUID, attempt_id: UUID) -> None:
        self.site, self.import_id, self.attempt_id = site, import_id, attempt_id

    async def save(self, heard: Heard) -> bool:
        async with self.site.database.session() as session:
            return await following.save_lines(
                session, self.import_id, self.attempt_id, heard, log_cap_bytes=CAP
            )

    async def log(self) -> bytes:
        async with self.site.database.reading() as session:
            log = await log_chunks.kept(session, self.attempt_id)
            return b"".join([piece async for piece in log_chunks.read(session, log, 0, CAP)])


@pytest.fixture
async def followed(database: Database) -> Followed:
    site = await Site(database).build()
    import_id = await site.queue()
    await site.admit()
    async with database.session() as session:
        row = await imports.get(session, import_id)
        attempt = await attempts.current(session, row)
        assert attempt is not None
        following.begin(row, attempt, target(row, attempt, GIB, 3 * GIB), config(GIB, 3 * GIB))
    return Followed(site, import_id, attempt.id)


async def test_following_begins_with_every_disk_and_nothing_known_of_it(followed: Followed) -> None:
    row = await followed.site.row(followed.import_id)
    assert row.progress == Progress(bytes_total=4 * GIB)
    assert [(disk.number, disk.label, disk.percent) for disk in row.disk_progress] == [
        (1, "web-1-1.img", None),
        (2, "web-1-2.img", None),
    ]


async def test_lines_are_saved_with_how_far_the_log_was_read(followed: Followed) -> None:
    assert await followed.save(Heard(0, 10, b"one\n", stage="inspecting"))
    assert not await followed.save(Heard(10, 30, b"two\n"))
    attempt = await followed.site.attempt(followed.import_id)
    assert (attempt.log_bytes, attempt.kept_bytes, await followed.log()) == (30, 8, b"one\ntwo\n")
    assert (await followed.site.row(followed.import_id)).stage == "inspecting"


async def test_a_piece_that_was_saved_already_is_refused_whole(followed: Followed) -> None:
    await followed.save(Heard(0, 10, b"one\n"))
    for start in (0, 5, 20):
        with pytest.raises(FencedError):
            await followed.save(Heard(start, 30, b"again\n", stage="copying"))
    assert await followed.log() == b"one\n"
    assert (await followed.site.row(followed.import_id)).stage is None


async def test_what_followed_no_more_is_saved_no_more(followed: Followed) -> None:
    async with followed.site.database.session() as session:
        await following.end(session, followed.import_id, followed.attempt_id)
    with pytest.raises(FencedError):
        await followed.save(Heard(0, 10, b"late\n"))


async def test_warnings_and_errors_are_kept_up_to_a_number(followed: Followed) -> None:
    warnings = tuple(ConversionWarning(code="w", message=str(number)) for number in range(80))
    errors = tuple(str(number) for number in range(80))
    await followed.save(Heard(0, 1, warnings=warnings, errors=errors))
    await followed.save(Heard(1, 2, warnings=warnings, errors=errors))
    row = await followed.site.row(followed.import_id)
    attempt = await followed.site.attempt(followed.import_id)
    assert (len(row.warnings), len(attempt.errors)) == (100, 100)
    assert attempt.errors == errors[:50] + errors[-50:]


async def test_only_news_makes_a_new_version(followed: Followed) -> None:
    before = (await followed.site.row(followed.import_id)).version
    await followed.save(Heard(0, 1, stage="copying"))
    await followed.save(Heard(1, 2, b"line\n", stage="copying"))
    assert (await followed.site.row(followed.import_id)).version == before + 1


def _progress(followed: Followed, seq: int, percent: float, *, attempt: int = 1) -> ProgressSave:
    disk = DiskProgress(number=1, label="a", percent=percent, state=DiskCopyState.COPYING)
    return ProgressSave(followed.import_id, attempt, seq, Progress(percent=percent), (disk,))


async def test_progress_is_saved_only_when_it_is_newer_and_of_this_attempt(followed: Followed) -> None:
    saves = [(5, 50.0, 1), (4, 40.0, 1), (9, 90.0, 2), (6, 60.0, 1)]
    for seq, percent, attempt in saves:
        async with followed.site.database.session() as session:
            await following.save_progress(session, [_progress(followed, seq, percent, attempt=attempt)])
    row = await followed.site.row(followed.import_id)
    assert (row.progress.percent, row.progress_seq) == (60.0, 6)
    assert row.disk_progress[0].percent == 60.0


async def test_the_progress_of_many_is_saved_at_once(followed: Followed) -> None:
    other = await followed.site.queue(path="/srv/2.img")
    save = _progress(followed, 7, 70.0)
    saves = [save, ProgressSave(other, 1, 3, Progress(percent=3.0), ())]
    async with followed.site.database.session() as session:
        await following.save_progress(session, saves)
        await following.save_progress(session, [])
    assert (await followed.site.row(followed.import_id)).progress.percent == 70.0
    assert (await followed.site.row(other)).progress.percent == 3.0


async def test_the_end_calls_for_a_turn(followed: Followed) -> None:
    before = (await followed.site.row(followed.import_id)).wakes
    async with followed.site.database.session() as session:
        await following.end(session, followed.import_id, followed.attempt_id)
    async with followed.site.database.reading() as session:
        assert not await following.is_followed(session, followed.attempt_id)
        assert await following.load(session, followed.attempt_id) is None
    assert (await followed.site.row(followed.import_id)).wakes == before + 1


async def test_a_stall_is_warned_of_once(followed: Followed) -> None:
    warning = ConversionWarning(code="stalled", message="Nothing moves.")
    for _ in range(2):
        async with followed.site.database.session() as session:
            await following.warn(session, followed.import_id, followed.attempt_id, warning)
    assert (await followed.site.row(followed.import_id)).warnings == (warning,)


async def test_a_host_is_watched_by_one_worker_until_it_leaves(followed: Followed) -> None:
    database, host_id = followed.site.database, followed.site.host_id
    first, second = uuid4(), uuid4()
    async with database.session() as session:
        assert await following.unwatched_hosts(session) == [host_id]
        assert await following.take_hosts(session, [host_id], first) == [host_id]
    async with database.session() as session:
        assert await following.take_hosts(session, [host_id], second) == []
        assert await following.unwatched_hosts(session) == []
        assert await following.followed_by(session, first) == {host_id: [followed.attempt_id]}
        assert await following.followed_by(session, second) == {}
        await following.leave_host(session, host_id, second)
        assert await following.unwatched_hosts(session) == []
        await following.leave_host(session, host_id, first)
        assert await following.unwatched_hosts(session) == [host_id]


async def test_a_watched_host_without_anything_to_follow_is_told_too(followed: Followed) -> None:
    database, worker_id = followed.site.database, uuid4()
    async with database.session() as session:
        await following.take_hosts(session, [followed.site.host_id], worker_id)
        await following.end(session, followed.import_id, followed.attempt_id)
        assert await following.followed_by(session, worker_id) == {followed.site.host_id: []}
        await workers.remove(session, worker_id)
        assert await following.unwatched_hosts(session) == []
