"""What carries a marker on a host is listed, whoever made it and whatever is left of it."""

import os
import signal
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.proxy.agent_client import HostAgent, JobState
from app.proxy.inventories import FoundAttempt, Inventory
from tests.support.hosts import INSTALLATION_ID, agent_at
from tests.support.waiting import until

OTHERS_ID = UUID(int=2)
MARKER = ".v2v-import-attempt"
DETACHED = "trap '' TERM; echo $$ >pid; while :; do sleep 0.2; done"


async def listed(agent: HostAgent, *storage: Path, most: int = 100, seconds: float = 30) -> Inventory:
    return await agent.inventory(storage=[str(root) for root in storage], most=most, seconds=seconds)


def here(found: Inventory) -> list[FoundAttempt]:
    """Attempts that have a directory: processes are those of the whole machine."""
    return [attempt for attempt in found.attempts if attempt.path is not None]


def of(found: Inventory, attempt_id: UUID) -> FoundAttempt | None:
    return next((attempt for attempt in found.attempts if attempt.attempt_id == attempt_id), None)


async def running(agent: HostAgent, attempt_id: UUID) -> int:
    """An attempt whose job runs and ignores SIGTERM; the job's process id."""
    place = await agent.create_attempt(attempt_id, 1)
    await agent.launch(attempt_id, 1, ["sh", "-c", DETACHED], environment={}, secret_files=[])
    pid = Path(place.directory) / "pid"
    await until(lambda: pid.exists() and pid.read_text().endswith("\n"))
    return int(pid.read_text())


def cut_short(directory: Path, attempt_id: UUID) -> Path:
    """As a removal leaves it that ends just before its end."""
    for name in ("job", "tmp"):
        (directory / name).rmdir()
    return directory.rename(directory.with_name(f"{MARKER}-{attempt_id}"))


def environment_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_an_attempt_is_listed_with_its_installation_and_size(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    place = await local_agent.create_attempt(attempt_id, 1)
    await local_agent.write(attempt_id, 1, "data", b"x" * 100_000)
    [found] = here(await listed(local_agent))
    assert (found.attempt_id, found.installation_id) == (attempt_id, INSTALLATION_ID)
    assert (found.path, found.running) == (place.directory, False)
    assert found.size_bytes is not None
    assert found.size_bytes >= 100_000
    assert found.made_at is not None


async def test_each_installation_has_its_own_mark(local_agent: HostAgent, work_dir: Path) -> None:
    mine, others = uuid4(), uuid4()
    await local_agent.create_attempt(mine, 1)
    await agent_at(work_dir, OTHERS_ID).create_attempt(others, 1)
    found = {attempt.attempt_id: attempt.installation_id for attempt in here(await listed(local_agent))}
    assert found == {mine: INSTALLATION_ID, others: OTHERS_ID}


async def test_an_attempt_without_a_marker_is_known_by_its_name(
    local_agent: HostAgent, work_dir: Path
) -> None:
    attempt_id = uuid4()
    place = await local_agent.create_attempt(attempt_id, 1)
    (Path(place.directory) / MARKER).unlink()
    (Path(place.tmp) / MARKER).unlink()
    (work_dir / "attempts" / "something").mkdir()
    [found] = here(await listed(local_agent))
    assert (found.attempt_id, found.installation_id, found.path) == (attempt_id, None, place.directory)


async def test_what_is_left_of_a_removal_is_listed(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    staged = cut_short(Path((await local_agent.create_attempt(attempt_id, 1)).directory), attempt_id)
    found = of(await listed(local_agent), attempt_id)
    assert found is not None
    assert (found.path, found.installation_id) == (str(staged), INSTALLATION_ID)
    await local_agent.remove_attempt(attempt_id, 1)
    assert not staged.exists()
    assert here(await listed(local_agent)) == []


async def test_processes_whose_directory_is_gone_are_listed_and_ended(
    local_agent: HostAgent, work_dir: Path
) -> None:
    attempt_id = uuid4()
    pid = await running(local_agent, attempt_id)
    found = of(await listed(local_agent), attempt_id)
    assert found is not None
    assert found.running
    hidden = work_dir / "hidden"
    (work_dir / "attempts" / str(attempt_id)).rename(hidden)
    (work_dir / "t" / str(attempt_id)[-12:]).rename(hidden / "t")
    found = of(await listed(local_agent), attempt_id)
    assert found == FoundAttempt(
        attempt_id=attempt_id,
        installation_id=INSTALLATION_ID,
        path=None,
        size_bytes=None,
        made_at=None,
        running=True,
    )
    assert (await local_agent.status(attempt_id)).state is JobState.RUNNING
    assert (await local_agent.stop(attempt_id, 1, grace_seconds=0.2)).state is JobState.ABSENT
    assert not is_alive(pid)
    assert of(await listed(local_agent), attempt_id) is None


async def test_storage_is_listed_with_what_is_marked_and_staged(
    local_agent: HostAgent, work_dir: Path, tmp_path: Path
) -> None:
    mine, others, old = uuid4(), uuid4(), uuid4()
    await local_agent.make_dir(str(tmp_path / "mine"), mine, 1)
    await agent_at(work_dir, OTHERS_ID).make_dir(str(tmp_path / "others"), others, 1)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / MARKER).write_text(str(old))
    (tmp_path / f"{MARKER}-{old}").mkdir()
    (tmp_path / "somebody's").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    found = await listed(local_agent, tmp_path)
    assert {(entry.path, entry.attempt_id, entry.installation_id) for entry in found.directories} == {
        (str(tmp_path / "mine"), mine, INSTALLATION_ID),
        (str(tmp_path / "others"), others, OTHERS_ID),
        (str(tmp_path / "old"), old, None),
        (str(tmp_path / f"{MARKER}-{old}"), old, None),
    }
    assert {entry.root for entry in found.directories} == {str(tmp_path)}
    assert found.complete


@pytest.mark.parametrize("content", ["", "../../evil", "x" * 1000, "\0\xff", f"{UUID(int=1)} nonsense"])
async def test_a_marker_that_is_not_ours_says_nothing(
    local_agent: HostAgent, tmp_path: Path, content: str
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / MARKER).write_text(content)
    assert (await listed(local_agent, tmp_path)).directories == ()


async def test_a_pipe_in_the_place_of_a_marker_keeps_nobody_waiting(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    (tmp_path / "odd").mkdir()
    os.mkfifo(tmp_path / "odd" / MARKER)
    assert (await listed(local_agent, tmp_path)).directories == ()


async def test_storage_that_can_not_be_read_hides_no_other(local_agent: HostAgent, tmp_path: Path) -> None:
    await local_agent.make_dir(str(tmp_path / "mine"), uuid4(), 1)
    found = await listed(local_agent, tmp_path / "absent", tmp_path)
    assert [unread.root for unread in found.unread] == [str(tmp_path / "absent")]
    assert len(found.directories) == 1


async def test_a_list_is_bounded_and_says_so(local_agent: HostAgent, tmp_path: Path) -> None:
    for number in range(3):
        await local_agent.make_dir(str(tmp_path / str(number)), uuid4(), 1)
    found = await listed(local_agent, tmp_path, most=2)
    assert (len(found.directories), found.complete) == (2, False)
    assert (await listed(local_agent, tmp_path)).complete
    assert not (await listed(local_agent, tmp_path, seconds=0)).complete


async def test_the_job_carries_its_installation(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    pid = await running(local_agent, attempt_id)
    assert f"V2V_IMPORT_INSTALLATION={INSTALLATION_ID}" in environment_of(pid)
    os.kill(pid, signal.SIGKILL)
