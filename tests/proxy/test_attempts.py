"""An attempt on a host: its directories, its files, its virt-v2v, with the real agent program."""

from pathlib import Path
from uuid import UUID, uuid4

from app.proxy.agent_client import HostAgent, JobState, JobStatus
from tests.support.waiting import until


async def ended(agent: HostAgent, attempt_id: UUID) -> JobStatus:
    async def has_ended() -> bool:
        return (await agent.status(attempt_id)).state is not JobState.RUNNING

    await until(has_ended)
    return await agent.status(attempt_id)


async def test_a_job_ends_with_its_exit_code(local_agent: HostAgent) -> None:
    attempt_id = uuid4()
    place = await local_agent.create_attempt(attempt_id, 1)
    await local_agent.launch(
        attempt_id, 1, ["sh", "-c", "echo out; echo err >&2; exit 3"], environment={}, secret_files=[]
    )
    status = await ended(local_agent, attempt_id)
    assert (status.state, status.exit_code) == (JobState.EXITED, 3)
    assert (Path(place.directory) / "job" / "log").read_bytes() == b"out\nerr\n"
