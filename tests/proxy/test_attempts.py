"""An attempt's directories and files on a host, and its fence."""

import asyncio
import os
import stat
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.errors import FencedError, HostCommandError, WorkDirUnusableError
from app.proxy.agent_client import HostAgent, JobState
from tests.support.hosts import agent_at

NOBODY = 65534
HOSTILE_NAMES = ["", ".", "..", "../evil", "a/b", "/etc/passwd", "nul\0byte", ".hidden", "job", "tmp"]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_gone(path: str) -> bool:
    return not Path(path).exists()


async def test_the_directories_are_private_and_the_one_for_sockets_is_short(local_agent: HostAgent) -> None:
    place = await local_agent.create_attempt(uuid4(), 1)
    assert {mode_of(Path(name)) for name in (place.directory, place.tmp, place.cache)} == {0o700}
    assert len(place.tmp) <= 60


async def test_making_an_attempt_twice_keeps_what_is_there(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    place = await local_agent.create_attempt(attempt_id, 1)
    await local_agent.write(attempt_id, 1, "password", b"secret")
    assert await local_agent.create_attempt(attempt_id, 1) == place
    assert (Path(place.directory) / "password").read_bytes() == b"secret"


async def test_a_written_file_has_its_bytes_and_its_mode(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    place = await local_agent.create_attempt(attempt_id, 1)
    name = "odd $(name) 'with' \"quotes\"\nand -rf"
    await local_agent.write(attempt_id, 1, name, b"\0\xff no newline", mode=0o640)
    written = Path(place.directory) / name
    assert written.read_bytes() == b"\0\xff no newline"
    assert mode_of(written) == 0o640


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_only_a_plain_file_name_is_written(local_agent: HostAgent, name: str) -> None:
    attempt_id = uuid4()
    await local_agent.create_attempt(attempt_id, 1)
    with pytest.raises(HostCommandError):
        await local_agent.write(attempt_id, 1, name, b"")


async def test_an_older_turn_changes_nothing(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    await local_agent.create_attempt(attempt_id, 2)
    with pytest.raises(FencedError):
        await local_agent.write(attempt_id, 1, "late", b"")
    with pytest.raises(FencedError):
        await local_agent.launch(attempt_id, 1, ["true"], environment={}, secret_files=[])
    with pytest.raises(FencedError):
        await local_agent.stop(attempt_id, 1, grace_seconds=1)
    with pytest.raises(FencedError):
        await local_agent.remove_attempt(attempt_id, 1)
    assert (await local_agent.status(attempt_id)).state is JobState.CREATED


async def test_an_older_turn_makes_nothing_after_the_attempt_was_removed(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    place = await local_agent.create_attempt(attempt_id, 1)
    await local_agent.remove_attempt(attempt_id, 2)
    with pytest.raises(FencedError):
        await local_agent.create_attempt(attempt_id, 1)
    assert is_gone(place.directory)


async def test_removing_leaves_nothing_and_may_be_asked_twice(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    place = await local_agent.create_attempt(attempt_id, 1)
    (Path(place.directory) / "tmp" / "leftover").mkdir()
    await local_agent.remove_attempt(attempt_id, 1)
    await local_agent.remove_attempt(attempt_id, 1)
    assert is_gone(place.directory)
    assert is_gone(place.tmp)
    assert (await local_agent.status(attempt_id)).state is JobState.ABSENT


async def test_a_running_attempt_is_not_removed(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    await local_agent.create_attempt(attempt_id, 1)
    await local_agent.launch(attempt_id, 1, ["sleep", "60"], environment={}, secret_files=[])
    with pytest.raises(HostCommandError, match="still running"):
        await local_agent.remove_attempt(attempt_id, 1)


async def test_commands_of_one_attempt_that_come_together_follow_each_other(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    await local_agent.create_attempt(attempt_id, 1)
    await asyncio.gather(*(local_agent.write(attempt_id, turn, "same", b"x") for turn in (1, 1, 1)))


async def test_what_is_no_id_becomes_no_path(local_agent: HostAgent) -> None:
    class Evil(UUID):
        def __str__(self) -> str:
            return "../../evil"

    with pytest.raises(HostCommandError, match="no attempt's id"):
        await local_agent.create_attempt(Evil(int=1), 1)


async def test_a_long_work_directory_is_refused(work_dir: Path) -> None:
    await agent_at(work_dir).ready()
    with pytest.raises(WorkDirUnusableError, match="40 bytes"):
        await agent_at(work_dir / ("long" * 10)).ready()


async def test_a_work_directory_that_others_may_write_is_refused(work_dir: Path) -> None:
    (work_dir / "open").mkdir()
    (work_dir / "open").chmod(0o777)
    with pytest.raises(WorkDirUnusableError, match="Others may write"):
        await agent_at(work_dir / "open").ready()


async def test_a_work_directory_that_became_another_users_is_refused(
    local_agent: HostAgent, work_dir: Path
) -> None:
    await local_agent.ready()
    os.chown(work_dir, NOBODY, -1)
    with pytest.raises(WorkDirUnusableError, match="another user"):
        await local_agent.ready()


async def test_a_program_that_vanished_is_put_back(local_agent: HostAgent, work_dir: Path) -> None:
    await local_agent.ready()
    for program in (work_dir / "agent").iterdir():
        program.unlink()
    assert (await local_agent.status(uuid4())).state is JobState.ABSENT
