"""Disks come from their VM's host for as long as the job lives: real ssh, sshd and qemu-nbd."""

import os
import signal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.proxy.agent_client import HostAgent, JobState
from app.proxy.provider_images import RemoteLogin
from tests.support.hosts import ended, marked_pids
from tests.support.remote_hosts import directory_of, qcow2_on, raw_image, remote_login, serving
from tests.support.sshd import SshServer
from tests.support.waiting import until

MIB = 2**20
SECRET = "provider-secret"
ONE, TWO = os.urandom(MIB), os.urandom(2 * MIB)
"""What is on the disks."""
READ = "qemu-img convert -O raw disk-1 one && qemu-img convert -O raw disk-2 two && ls -A tmp"
HANG = "touch ready; sleep 600"


class Job:
    """An attempt whose virt-v2v is a line of shell."""

    def __init__(self, agent: HostAgent, login: RemoteLogin, key: bytes) -> None:
        self.agent, self.login, self.key, self.id = agent, login, key, uuid4()
        self.directory = Path()

    async def start(self, line: str, *disks: list[dict[str, str]]) -> None:
        self.directory = Path((await self.agent.create_attempt(self.id, 1)).directory)
        await self.agent.write(self.id, 1, SECRET, self.key, mode=0o600)
        order: dict[str, Any] = {
            "login": self.login.order(),
            "secret": SECRET,
            "disks": [{"images": images, "image": f"disk-{n}"} for n, images in enumerate(disks, start=1)],
            "is_running": False,
        }
        await self.agent.launch(
            self.id, 1, ["sh", "-c", line], environment={}, secret_files=[SECRET], preparation=order
        )

    async def exit_code(self) -> int | None:
        status = await ended(self.agent, self.id)
        assert status.state is JobState.EXITED
        return status.exit_code

    @property
    def log(self) -> str:
        return (self.directory / "job" / "log").read_text()


@pytest.fixture
def job(local_agent: HostAgent, sshd: SshServer) -> Job:
    return Job(local_agent, remote_login(sshd), sshd.client_key.get_secret_value().encode())


def a_chain(directory: Path) -> list[dict[str, str]]:
    base = raw_image(directory, "it's $(a) base", ONE)
    return [{"path": str(qcow2_on(base)), "format": "qcow2"}, {"path": str(base), "format": "raw"}]


def a_raw(directory: Path) -> list[dict[str, str]]:
    return [{"path": str(raw_image(directory, "data.img", TWO)), "format": "raw"}]


async def test_virt_v2v_reads_what_is_on_the_disks_there(job: Job, tmp_path: Path) -> None:
    await job.start(READ, a_chain(tmp_path), a_raw(tmp_path))
    assert await job.exit_code() == 0, job.log
    assert ((job.directory / "one").read_bytes(), (job.directory / "two").read_bytes()) == (ONE, TWO)
    await until(lambda: not serving(str(tmp_path)))
    assert not (job.directory / SECRET).exists()


async def test_when_the_job_ends_nothing_of_it_is_left_there(job: Job, tmp_path: Path) -> None:
    await job.start(HANG, a_raw(tmp_path))
    await until((job.directory / "ready").exists)
    [pid] = serving(str(tmp_path))
    directory = directory_of(pid)
    assert directory.stat().st_mode & 0o777 == 0o700
    await job.agent.stop(job.id, 1, grace_seconds=0.1)
    await until(lambda: not serving(str(tmp_path)) and not directory.exists())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_when_ssh_is_killed_nothing_of_it_is_left_there(
    job: Job, tmp_path: Path, number: signal.Signals
) -> None:
    await job.start(HANG, a_raw(tmp_path))
    await until((job.directory / "ready").exists)
    directory = directory_of(serving(str(tmp_path))[0])
    os.kill(ssh_of(job.id), number)
    await until(lambda: not serving(str(tmp_path)) and not directory.exists())


def ssh_of(attempt_id: UUID) -> int:
    pids = marked_pids([str(attempt_id)])
    return next(pid for pid in pids if Path(f"/proc/{pid}/comm").read_text() == "ssh\n")


async def test_a_lost_connection_is_told_in_the_log(
    local_agent: HostAgent, own_sshd: SshServer, tmp_path: Path
) -> None:
    job = Job(local_agent, remote_login(own_sshd), own_sshd.client_key.get_secret_value().encode())
    await job.start(HANG, a_raw(tmp_path))
    await until((job.directory / "ready").exists)
    own_sshd.cut()
    await until(lambda: "the connection to the VM's host was closed by remote host" in job.log)
    await until(lambda: not serving(str(tmp_path)))


async def test_a_disk_that_cannot_be_served_fails_before_virt_v2v_starts(job: Job, tmp_path: Path) -> None:
    await job.start("echo never", a_raw(tmp_path), [{"path": str(tmp_path / "none"), "format": "raw"}])
    assert await job.exit_code() == 1
    assert "the VM's host: 127.0.0.1 can't serve the disks" in job.log
    assert "No such file or directory" in job.log
    assert "never" not in job.log
    await until(lambda: not serving(str(tmp_path)))


async def test_a_refused_login_fails_before_virt_v2v_starts(
    job: Job, tmp_path: Path, sshd: SshServer
) -> None:
    job.key = b"no key\n"
    await job.start("echo never", a_raw(tmp_path))
    assert await job.exit_code() == 1
    assert f"127.0.0.1 port {sshd.port} refused the login: " in job.log
    assert "never" not in job.log
