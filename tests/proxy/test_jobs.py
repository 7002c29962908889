"""virt-v2v on a host: started once, ended whole, never forgotten."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.errors import FencedError, HostCommandError, VirtV2vMissingError
from app.proxy.agent_client import AttemptPlace, HostAgent, JobState, JobStatus
from tests.support.hosts import ended
from tests.support.waiting import until

STUBBORN = "trap '' TERM; sh -c 'echo $$ >child; while :; do sleep 1; done' & while :; do sleep 1; done"
"""Ignores SIGTERM, and so does its child."""


class Attempt:
    """One attempt on this machine."""

    def __init__(self, agent: HostAgent, place: AttemptPlace, attempt_id: UUID) -> None:
        self.agent, self.id = agent, attempt_id
        self.directory = Path(place.directory)
        self.place = place
        self.log = self.directory / "job" / "log"

    async def launch(self, script: str, *secret_files: str, turn: int = 1, **environment: str) -> JobStatus:
        return await self.agent.launch(
            self.id, turn, ["sh", "-c", script], environment=environment, secret_files=secret_files
        )

    async def written(self, name: str) -> str:
        """What the job wrote into a file, once it is there."""
        path = self.directory / name
        await until(lambda: path.exists() and path.read_text().endswith("\n"))
        return path.read_text().strip()

    async def stop(self, grace_seconds: float = 0.2) -> JobStatus:
        return await self.agent.stop(self.id, 1, grace_seconds=grace_seconds)

    def supervisor(self) -> int:
        """The process that holds the job's lock and has no marker: the parent of the job's first process."""
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and self._is_supervisor(process):
                return int(process.name)
        raise AssertionError("The supervisor is not there.")

    def _is_supervisor(self, process: Path) -> bool:
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            alive = str(self.directory / "job" / "alive")
            return b"launch" in command and any(
                str(fd.readlink()) == alive for fd in (process / "fd").iterdir()
            )
        except OSError:
            return False


@pytest.fixture
async def attempt(local_agent: HostAgent) -> Attempt:
    attempt_id = uuid4()
    return Attempt(local_agent, await local_agent.create_attempt(attempt_id, 1), attempt_id)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _carrying(attempt: Attempt) -> list[str]:
    """The processes that carry the attempt's marker."""
    marker, found = f"V2V_IMPORT_ATTEMPT={attempt.id}".encode(), []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and marker in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
    return found


async def test_both_streams_go_into_one_log_in_order(attempt: Attempt) -> None:
    await attempt.launch("for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 3")
    status = await ended(attempt.agent, attempt.id)
    assert (status.state, status.exit_code) == (JobState.EXITED, 3)
    assert attempt.log.read_text() == "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"
    assert status.log_bytes == attempt.log.stat().st_size


async def test_the_launch_answers_while_the_job_runs(attempt: Attempt) -> None:
    async with asyncio.timeout(30):
        status = await attempt.launch("sleep 60")
    assert status.state is JobState.RUNNING


async def test_arguments_arrive_as_they_are(attempt: Attempt) -> None:
    odd = ["with space", "quote's", '"double"', "$(touch evil)", "new\nline", "-rf", "ü", ""]
    argv = ["sh", "-c", 'printf "%s\\n" "$@"', "sh", *odd]
    await attempt.agent.launch(attempt.id, 1, argv, environment={}, secret_files=[])
    await ended(attempt.agent, attempt.id)
    assert attempt.log.read_text() == "".join(f"{word}\n" for word in odd)


async def test_a_signal_is_a_negative_exit_code(attempt: Attempt) -> None:
    await attempt.launch("kill -SEGV $$")
    assert (await ended(attempt.agent, attempt.id)).exit_code == -signal.SIGSEGV


async def test_the_job_gets_its_own_directories_and_a_fixed_locale(attempt: Attempt) -> None:
    await attempt.launch("env; pwd", LIBGUESTFS_BACKEND="direct", TMPDIR="/elsewhere", LC_ALL="de_DE.UTF-8")
    await ended(attempt.agent, attempt.id)
    lines = attempt.log.read_text().splitlines()
    assert f"TMPDIR={attempt.place.tmp}" in lines
    assert f"VIRT_V2V_TMPDIR={attempt.directory}/tmp" in lines
    assert f"LIBGUESTFS_CACHEDIR={attempt.place.cache}" in lines
    assert "LIBGUESTFS_BACKEND=direct" in lines
    assert "LC_ALL=C.UTF-8" in lines
    assert lines[-1] == str(attempt.directory)


async def test_launching_again_starts_no_second_copy(attempt: Attempt) -> None:
    script = "echo started >>count; sleep 60"
    await asyncio.gather(*(attempt.launch(script) for _ in range(4)))
    await attempt.written("count")
    assert (await attempt.launch(script, turn=2)).state is JobState.RUNNING
    assert (attempt.directory / "count").read_text() == "started\n"


async def test_launching_again_after_the_end_says_how_it_ended(attempt: Attempt) -> None:
    await attempt.launch("exit 4")
    await ended(attempt.agent, attempt.id)
    assert (await attempt.launch("echo again")).exit_code == 4
    assert attempt.log.read_text() == ""


async def test_a_program_that_is_not_there_is_said_so_and_may_be_launched_later(attempt: Attempt) -> None:
    with pytest.raises(VirtV2vMissingError):
        await attempt.agent.launch(attempt.id, 1, ["no-such-v2v"], environment={}, secret_files=[])
    assert (await attempt.agent.status(attempt.id)).state is JobState.CREATED
    await attempt.launch("exit 0")
    assert (await ended(attempt.agent, attempt.id)).exit_code == 0


async def test_secret_files_stay_while_the_job_reads_them_and_go_with_it(attempt: Attempt) -> None:
    await attempt.agent.write(attempt.id, 1, "password", b"secret")
    await attempt.agent.write(attempt.id, 1, "kept", b"public")
    await attempt.launch("sleep 0.3; cat password", "password")
    await ended(attempt.agent, attempt.id)
    assert attempt.log.read_text() == "secret"
    assert not (attempt.directory / "password").exists()
    assert (attempt.directory / "kept").exists()


async def test_what_the_job_leaves_behind_is_ended(attempt: Attempt) -> None:
    await attempt.launch("setsid sh -c 'echo $$ >child; exec sleep 60' & sleep 0.3; exit 0")
    child = int(await attempt.written("child"))
    assert (await ended(attempt.agent, attempt.id)).exit_code == 0
    assert not is_alive(child)


async def test_stop_ends_the_job_with_its_signal(attempt: Attempt) -> None:
    await attempt.launch("echo $$ >pid; exec sleep 60")
    await attempt.written("pid")
    status = await attempt.stop(grace_seconds=10)
    assert (status.state, status.exit_code, status.stopped) == (JobState.EXITED, -signal.SIGTERM, True)


async def test_stop_kills_children_that_ignore_being_asked(attempt: Attempt) -> None:
    await attempt.launch(STUBBORN)
    child = int(await attempt.written("child"))
    status = await attempt.stop()
    assert (status.state, status.exit_code) == (JobState.EXITED, -signal.SIGKILL)
    assert not is_alive(child)


async def test_stop_finds_a_child_that_left_the_session_and_closed_the_lock(attempt: Attempt) -> None:
    closing = 'for fd in /proc/self/fd/*; do eval "exec ${fd##*/}>&-"; done'
    await attempt.launch(f"setsid bash -c 'echo $$ >child; {closing}; sleep 60; :' & wait")
    child = int(await attempt.written("child"))
    await attempt.stop()
    assert not is_alive(child)


async def test_stop_ends_a_job_that_forks_while_it_is_killed(attempt: Attempt) -> None:
    # Each helper outlives its parent; every other one leaves the session.
    forks = "sh -c 'sleep 60' & setsid sh -c 'sleep 60' & sleep 0.01"
    await attempt.launch(f"trap '' TERM; echo $$ >child; while :; do {forks}; done")
    await attempt.written("child")
    assert (await attempt.stop(grace_seconds=0.1)).state is JobState.EXITED
    assert _carrying(attempt) == []


async def test_stop_ends_a_helper_that_threw_its_environment_away(attempt: Attempt) -> None:
    await attempt.launch(
        "trap '' TERM; env -i sh -c 'echo $$ >child; sleep 60; :' & while :; do sleep 1; done"
    )
    child = int(await attempt.written("child"))
    await attempt.stop()
    assert not is_alive(child)


@pytest.mark.parametrize("who", ["supervisor", "job"])
async def test_stop_ends_what_somebody_stopped(attempt: Attempt, who: str) -> None:
    await attempt.launch("echo $$ >pid; exec sleep 60")
    job = int(await attempt.written("pid"))
    os.kill(attempt.supervisor() if who == "supervisor" else job, signal.SIGSTOP)
    status = await attempt.stop(grace_seconds=10)
    assert (status.state, status.exit_code) == (JobState.EXITED, -signal.SIGTERM)


async def test_stop_twice_and_after_the_end_changes_nothing(attempt: Attempt) -> None:
    await attempt.launch("exit 5")
    await ended(attempt.agent, attempt.id)
    first = await attempt.stop()
    assert first == await attempt.stop()
    assert (first.state, first.exit_code) == (JobState.EXITED, 5)


async def test_after_stop_nothing_is_started_any_more(attempt: Attempt) -> None:
    await attempt.stop()
    status = await attempt.launch("echo late >late", turn=2)
    assert (status.state, status.stopped) == (JobState.CREATED, True)
    assert not (attempt.directory / "late").exists()


async def test_a_job_whose_supervisor_was_killed_still_runs(attempt: Attempt) -> None:
    await attempt.launch("echo $$ >pid; exec sleep 60")
    job = int(await attempt.written("pid"))
    os.kill(attempt.supervisor(), signal.SIGKILL)
    assert (await attempt.agent.status(attempt.id)).state is JobState.RUNNING
    os.kill(job, signal.SIGKILL)
    status = await ended(attempt.agent, attempt.id)
    assert (status.state, status.exit_code) == (JobState.LOST, None)


async def test_a_job_without_supervisor_is_stopped_and_its_secrets_removed(attempt: Attempt) -> None:
    await attempt.agent.write(attempt.id, 1, "password", b"secret")
    await attempt.launch("echo $$ >pid; exec sleep 60", "password")
    job = int(await attempt.written("pid"))
    os.kill(attempt.supervisor(), signal.SIGKILL)
    status = await attempt.stop()
    assert (status.state, is_alive(job)) == (JobState.LOST, False)
    assert not (attempt.directory / "password").exists()


async def test_a_child_that_closed_the_lock_does_not_hide_that_the_job_is_lost(attempt: Attempt) -> None:
    closing = 'for fd in /proc/self/fd/*; do eval "exec ${fd##*/}>&-"; done'
    await attempt.agent.launch(
        attempt.id,
        1,
        ["bash", "-c", f"echo $$ >pid; {closing}; sleep 60; :"],
        environment={},
        secret_files=[],
    )
    child = int(await attempt.written("pid"))
    os.kill(attempt.supervisor(), signal.SIGKILL)
    assert (await ended(attempt.agent, attempt.id)).state is JobState.LOST
    with pytest.raises(HostCommandError, match="still running"):
        await attempt.agent.remove_attempt(attempt.id, 1)
    assert (await attempt.stop()).state is JobState.LOST
    assert not is_alive(child)
    await attempt.agent.remove_attempt(attempt.id, 1)


async def test_two_who_look_at_once_see_the_truth(attempt: Attempt) -> None:
    await attempt.launch("exit 0")
    await ended(attempt.agent, attempt.id)
    seen = await asyncio.gather(*(attempt.agent.status(attempt.id) for _ in range(6)))
    assert {status.state for status in seen} == {JobState.EXITED}


@pytest.mark.parametrize("note", [b"", b"\xff\xfe", b"seven"])
async def test_an_exit_code_that_can_t_be_read_is_unknown(attempt: Attempt, note: bytes) -> None:
    await attempt.launch("true")
    await ended(attempt.agent, attempt.id)
    (attempt.directory / "job" / "exit_code").write_bytes(note)
    status = await attempt.agent.status(attempt.id)
    assert (status.state, status.exit_code) == (JobState.EXITED, None)
    await attempt.agent.remove_attempt(attempt.id, 1)
    assert not attempt.directory.exists()


@pytest.mark.parametrize("note", [b"", b'{"secret_files": 7}', b"[]", b"\xff"])
async def test_where_it_is_unknown_what_is_secret_nothing_stays(attempt: Attempt, note: bytes) -> None:
    for name in ("password", "other"):
        await attempt.agent.write(attempt.id, 1, name, b"secret")
    await attempt.launch("sleep 60", "password")
    (attempt.directory / "job" / "launched").write_bytes(note)
    assert (await attempt.stop()).state is not JobState.RUNNING
    assert not (attempt.directory / "password").exists()
    assert not (attempt.directory / "other").exists()


async def test_a_note_of_the_turn_that_can_t_be_read_lets_the_next_turn_in(attempt: Attempt) -> None:
    await attempt.launch("sleep 60")
    gate = attempt.directory.parents[1] / "turns" / str(attempt.id)
    gate.write_bytes(b"garbage that is longer than a number\n")
    assert (await attempt.stop()).state is not JobState.RUNNING
    with pytest.raises(FencedError):
        await attempt.agent.remove_attempt(attempt.id, 0)
    await attempt.agent.remove_attempt(attempt.id, 2)
