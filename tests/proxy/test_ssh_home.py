"""virt-v2v's own ssh, scp and libssh log in by what the job was given, and by nothing that the user has."""

import os
import pwd
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from app.proxy.agent_client import HostAgent, JobState
from app.proxy.provider_images import RemoteLogin
from tests.support.hosts import ended
from tests.support.remote_hosts import remote_login
from tests.support.sshd import SshServer, ssh_server

SECRET = "provider-secret"
PASSWORD = 'p@ss "wörd" $(x) '
HOME = Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".ssh"


class Job:
    """An attempt whose virt-v2v is a line of shell."""

    def __init__(self, agent: HostAgent, login: RemoteLogin, secret: str) -> None:
        self.agent, self.login, self.secret, self.id = agent, login, secret, uuid4()
        self.directory = Path()

    @property
    def place(self) -> str:
        return f"-p {self.login.port} {self.login.username}@{self.login.host}"

    async def run(self, line: str) -> int | None:
        self.directory = Path((await self.agent.create_attempt(self.id, 1)).directory)
        await self.agent.write(self.id, 1, SECRET, self.secret.encode(), mode=0o600)
        order = {"ssh": self.login.order(), "secret": SECRET, "roots": []}
        await self.agent.launch(
            self.id, 1, ["sh", "-c", line], environment={}, secret_files=[SECRET], preparation=order
        )
        status = await ended(self.agent, self.id)
        assert status.state is JobState.EXITED
        return status.exit_code

    @property
    def log(self) -> str:
        return (self.directory / "job" / "log").read_text()

    def nbdkit(self, path: Path) -> str:
        """What virt-v2v reads a disk by; a password is told to nbdkit by itself."""
        words = [f"host={self.login.host}", f"port={self.login.port}", f"user={self.login.username}"]
        words += (
            [f"path={path}", f"password=+{self.directory_of(SECRET)}"]
            if self.login.by_password
            else [f"path={path}"]
        )
        copy = "qemu-img convert -f raw -O raw nbd:unix:$unixsocket copied"
        return f"nbdkit -U - --readonly ssh {' '.join(words)} --run '{copy}'"

    def directory_of(self, name: str) -> str:
        return f'"$PWD"/{name}'


@pytest.fixture
def job(local_agent: HostAgent, sshd: SshServer) -> Job:
    return Job(local_agent, remote_login(sshd), sshd.client_key.get_secret_value())


def contents() -> list[str]:
    """What the user has there himself."""
    return sorted(path.name for path in HOME.iterdir()) if HOME.is_dir() else []


async def test_ssh_scp_and_nbdkit_log_in_by_the_key(job: Job, tmp_path: Path) -> None:
    before = contents()
    disk = tmp_path / "disk.img"
    disk.write_bytes(os.urandom(1 << 16))
    scp = f"scp -q -P {job.login.port} {job.login.username}@{job.login.host}:{disk} by-scp"
    code = await job.run(f"ssh {job.place} test -f {disk} && {scp} && {job.nbdkit(disk)}")
    assert code == 0, job.log
    assert (job.directory / "by-scp").read_bytes() == disk.read_bytes()
    assert (job.directory / "copied").read_bytes() == disk.read_bytes()
    # Nothing of it is anywhere but in the attempt's directory, and the key not even there any more.
    assert contents() == before
    assert not (job.directory / SECRET).exists()


async def test_they_log_in_by_a_password(local_agent: HostAgent, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(os.urandom(1 << 16))
    with ssh_server(password=PASSWORD) as sshd:
        login = replace(remote_login(sshd), username="root", by_password=True)
        job = Job(local_agent, login, PASSWORD)
        assert await job.run(f"ssh {job.place} echo hello && {job.nbdkit(disk)}") == 0, job.log
    assert "hello" in job.log
    assert PASSWORD not in job.log
    assert (job.directory / "copied").read_bytes() == disk.read_bytes()


async def test_another_host_key_is_refused_by_both(job: Job, own_sshd: SshServer, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(512))
    job.login = replace(job.login, host_key=own_sshd.host_key)
    assert await job.run(f"ssh {job.place} echo hello; {job.nbdkit(disk)}; echo ended") == 0
    assert "hello" not in job.log
    assert "Host key verification failed" in job.log
    assert not (job.directory / "copied").exists()


async def test_a_key_that_the_host_doesn_t_know_is_refused(job: Job, own_sshd: SshServer) -> None:
    job.secret = own_sshd.client_key.get_secret_value()
    assert await job.run(f"ssh {job.place} echo hello") == 255
    assert "Permission denied" in job.log
