"""The watch: logs from any offset, at any speed, then the end; and signs of life."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import HostConnectionLostError
from app.proxy import watching
from app.proxy.agent_client import HostAgent, JobState
from app.proxy.base import Channel
from app.proxy.pool import ProxyPool
from app.proxy.watching import Activity, Beat, Following, Frame, FrameReader, JobEnded, LogBytes
from tests.support.hosts import ended, installation_id
from tests.support.sshd import SshServer

ID = UUID(int=7)
BYTES = (
    b'{"kind": "beat", "size": 0}\n'
    b'{"kind": "log", "attempt_id": "%(id)s", "offset": 5, "size": 4}\n\n{\xff\n'
    b'{"kind": "activity", "attempt_id": "%(id)s", "io_bytes": 9, "size": 0}\n'
    b'{"kind": "ended", "attempt_id": "%(id)s", "status": {"state": "exited", "exit_code": 0}, "size": 0}\n'
) % {b"id": str(ID).encode()}


async def launched(agent: HostAgent, script: str) -> UUID:
    attempt_id = uuid4()
    await agent.create_attempt(attempt_id, 1)
    await agent.launch(attempt_id, 1, ["sh", "-c", script], environment={}, secret_files=[])
    return attempt_id


async def told(following: Following, count: int = 1) -> list[Frame]:
    """All frames until so many jobs have ended, without those that depend on time."""
    frames: list[Frame] = []
    async with asyncio.timeout(60):
        async for frame in following.frames():
            if isinstance(frame, LogBytes | JobEnded):
                frames.append(frame)
            count -= isinstance(frame, JobEnded)
            if count == 0:
                break
    return frames


async def next_log(frames: AsyncIterator[Frame]) -> LogBytes:
    while True:
        if isinstance(frame := await anext(frames), LogBytes):
            return frame


def log_of(frames: list[Frame], attempt_id: UUID) -> bytes:
    """The bytes in order; each frame begins where the last one ended."""
    log = b""
    first = None
    for frame in frames:
        if isinstance(frame, LogBytes) and frame.attempt_id == attempt_id:
            first = frame.offset if first is None else first
            assert frame.offset == first + len(log)
            log += frame.data
    return log


async def test_a_log_is_told_whole_and_then_its_end(local_agent: HostAgent) -> None:
    async with Following(local_agent) as following:
        attempt_id = await launched(local_agent, "printf '\\377\\r'; sleep 0.3; echo end; exit 2")
        await following.follow(attempt_id, 0)
        frames = await told(following)
    assert log_of(frames, attempt_id) == b"\xff\rend\n"
    last = frames[-1]
    assert isinstance(last, JobEnded)
    assert (last.status.state, last.status.exit_code) == (JobState.EXITED, 2)


async def test_new_bytes_are_told_at_once(local_agent: HostAgent) -> None:
    attempt_id = await launched(local_agent, "while :; do echo tick; sleep 0.2; done")
    moments: list[float] = []
    async with Following(local_agent) as following, asyncio.timeout(60):
        await following.follow(attempt_id, 0)
        async for frame in following.frames():
            if isinstance(frame, LogBytes):
                moments.append(asyncio.get_running_loop().time())
            if len(moments) == 7:
                break
    # The first frame holds what was there before.
    gaps = [after - before for before, after in pairwise(moments[1:])]
    assert sorted(gaps)[len(gaps) // 2] < 0.5


async def test_a_fast_log_loses_nothing(local_agent: HostAgent) -> None:
    attempt_id = await launched(local_agent, "seq 1 200000")
    async with Following(local_agent) as following:
        await following.follow(attempt_id, 0)
        frames = await told(following)
    assert log_of(frames, attempt_id) == b"".join(b"%d\n" % number for number in range(1, 200_001))


async def test_following_goes_on_from_any_offset(local_agent: HostAgent) -> None:
    attempt_id = await launched(local_agent, "printf 0123456789")
    await ended(local_agent, attempt_id)
    for offset in (0, 4, 10):
        async with Following(local_agent) as following:
            await following.follow(attempt_id, offset)
            assert log_of(await told(following), attempt_id) == b"0123456789"[offset:]


async def test_another_watch_adopts_what_runs(local_agent: HostAgent) -> None:
    attempt_id = await launched(local_agent, "echo one; while [ ! -e go ]; do sleep 0.05; done; echo two")
    async with Following(local_agent) as first:
        await first.follow(attempt_id, 0)
        async for frame in first.frames():
            if isinstance(frame, LogBytes):
                break
    await local_agent.write(attempt_id, 1, "go", b"")
    async with Following(local_agent) as second:
        await second.follow(attempt_id, 4)
        assert log_of(await told(second), attempt_id) == b"two\n"


async def test_many_attempts_are_told_apart(local_agent: HostAgent) -> None:
    ids = [await launched(local_agent, f"seq {number * 1000} {number * 2000}") for number in range(1, 5)]
    async with Following(local_agent) as following:
        for attempt_id in ids:
            await following.follow(attempt_id, 0)
        frames = await told(following, len(ids))
    for number, attempt_id in enumerate(ids, start=1):
        expected = b"".join(b"%d\n" % n for n in range(number * 1000, number * 2000 + 1))
        assert log_of(frames, attempt_id) == expected


async def test_an_attempt_that_is_not_there_has_ended(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    async with Following(local_agent) as following:
        await following.follow(attempt_id, 0)
        (frame,) = await told(following)
    assert isinstance(frame, JobEnded)
    assert frame.status.state is JobState.ABSENT


async def test_a_job_may_be_followed_before_it_is_launched(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    await local_agent.create_attempt(attempt_id, 1)
    async with Following(local_agent) as following:
        await following.follow(attempt_id, 0)
        await asyncio.sleep(0.3)
        await local_agent.launch(attempt_id, 1, ["echo", "late"], environment={}, secret_files=[])
        assert log_of(await told(following), attempt_id) == b"late\n"


async def test_a_job_that_was_stopped_before_its_start_has_ended(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    await local_agent.create_attempt(attempt_id, 1)
    async with Following(local_agent) as following:
        await following.follow(attempt_id, 0)
        await local_agent.stop(attempt_id, 1, grace_seconds=1)
        (frame,) = await told(following)
    assert isinstance(frame, JobEnded)
    assert (frame.status.state, frame.status.stopped) == (JobState.CREATED, True)


async def test_a_lost_job_is_told_after_its_last_bytes(local_agent: HostAgent, work_dir: Path) -> None:
    attempt_id = await launched(local_agent, "echo last words; kill -9 $PPID; kill -9 $$")
    async with Following(local_agent) as following:
        await following.follow(attempt_id, 0)
        frames = await told(following)
    assert log_of(frames, attempt_id) == b"last words\n"
    assert isinstance(frames[-1], JobEnded)
    assert frames[-1].status.state is JobState.LOST


async def test_what_is_no_longer_followed_is_told_no_more(local_agent: HostAgent) -> None:
    quiet = await launched(local_agent, "while :; do echo noise; sleep 0.02; done")
    async with Following(local_agent) as following:
        await following.follow(quiet, 0)
        await following.unfollow(quiet)
        other = await launched(local_agent, "sleep 0.5; echo done")
        await following.follow(other, 0)
        frames = await told(following)
    late = [frame for frame in frames if isinstance(frame, LogBytes) and frame.attempt_id == quiet]
    assert len(late) < 5


async def test_activity_counts_what_the_job_moves_and_never_falls(local_agent: HostAgent) -> None:
    script = "dd if=/dev/zero of=big bs=1M count=20 2>/dev/null; sleep 30"
    attempt_id = await launched(local_agent, script)
    counts: list[int] = []
    async with Following(local_agent) as following:
        await following.follow(attempt_id, 0)
        async with asyncio.timeout(60):
            async for frame in following.frames():
                if isinstance(frame, Activity):
                    counts.append(frame.io_bytes)
                if len(counts) == 2:
                    break
    assert counts == sorted(counts)


async def test_the_watch_beats_when_nothing_happens(local_agent: HostAgent) -> None:
    async with Following(local_agent) as following, asyncio.timeout(30):
        async for frame in following.frames():
            assert frame == Beat()
            break


async def test_over_ssh_a_cut_connection_is_noticed_and_following_goes_on(
    own_sshd: SshServer, work_dir: Path
) -> None:
    pool = ProxyPool(installation_id)
    address = own_sshd.address(work_dir)
    agent = await pool.agent(address)
    attempt_id = await launched(agent, "echo one; while [ ! -e go ]; do sleep 0.05; done; echo two")
    async with Following(agent) as following:
        await following.follow(attempt_id, 0)
        frames = following.frames()
        assert isinstance(await next_log(frames), LogBytes)
        own_sshd.cut()
        with pytest.raises(HostConnectionLostError):
            await next_log(frames)
    agent = await pool.agent(address)
    await agent.write(attempt_id, 1, "go", b"")
    async with Following(agent) as following:
        await following.follow(attempt_id, 4)
        assert log_of(await told(following), attempt_id) == b"two\n"
    await pool.close()


async def test_over_ssh_a_host_that_falls_silent_is_noticed(
    own_sshd: SshServer, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SILENCE_SECONDS", 3)
    pool = ProxyPool(installation_id)
    async with Following(await pool.agent(own_sshd.address(work_dir))) as following:
        frames = following.frames()
        await anext(frames)
        own_sshd.pause()
        with pytest.raises(HostConnectionLostError, match="Nothing was heard"):
            await next_log(frames)
    own_sshd.resume()
    await pool.close()


async def test_the_watch_on_the_host_ends_with_its_channel(sshd: SshServer, work_dir: Path) -> None:
    pool = ProxyPool(installation_id)
    async with Following(await pool.agent(sshd.address(work_dir))) as following:
        await anext(following.frames())
        assert watches(work_dir)
    async with asyncio.timeout(30):
        while watches(work_dir):  # noqa: ASYNC110  # another process: nothing to wait for
            await asyncio.sleep(0.05)
    await pool.close()


def watches(work_dir: Path) -> list[int]:
    """The processes that watch this work directory."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.joinpath("cmdline").exists():
            words = process.joinpath("cmdline").read_bytes().split(b"\0")
            if b"python" in words[0] and b"watch" in words and os.fsencode(work_dir) in words:
                found.append(int(process.name))
    return found


class Recorded(HostAgent):
    """An agent whose watch says what was recorded."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks_told = chunks

    async def ready(self) -> None:
        """It always is."""

    def watch(self) -> AbstractAsyncContextManager[Channel]:
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Channel]:
        yield self

    async def send(self, data: bytes) -> None:
        json.loads(data)

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks_told:
            yield chunk


async def test_a_watch_that_ends_is_a_lost_connection() -> None:
    async with Following(Recorded(BYTES)) as following:
        frames = following.frames()
        assert [type(await anext(frames)) for _ in range(4)] == [Beat, LogBytes, Activity, JobEnded]
        with pytest.raises(HostConnectionLostError, match="ended"):
            await anext(frames)


@pytest.mark.parametrize("noise", [b"Welcome to host!\n", b"{}\n", b"x" * 100_000])
async def test_something_else_than_frames_is_a_lost_connection(noise: bytes) -> None:
    async with Following(Recorded(noise)) as following:
        with pytest.raises(HostConnectionLostError, match="something else"):
            await anext(following.frames())


@given(st.lists(st.integers(0, len(BYTES))))
def test_frames_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(BYTES)]
    reader = FrameReader()
    frames = [frame for start, end in pairwise(edges) for frame in reader.feed(BYTES[start:end])]
    assert frames == FrameReader().feed(BYTES)
    assert frames[1] == LogBytes(ID, 5, b"\n{\xff\n")
