"""A private sshd on loopback: its own keys, its own configuration, ended by its pid."""

import contextlib
import getpass
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from app.proxy.base import HostAddress

PROGRAM = "/usr/sbin/sshd"
"""sshd wants to be called by an absolute path."""
START_SECONDS = 10
HOST_PATH = f"{sys.base_prefix}/bin:{os.environ['PATH']}"
"""PATH on the host. This interpreter comes first: what version managers put there starts ten times slower."""


@dataclass
class SshServer:
    """A real OpenSSH server for the user that runs the tests."""

    directory: Path
    port: int = 0
    path: str = HOST_PATH
    """PATH on the host: put a directory of stand-ins first. HOME is empty, so that no shell changes it."""
    host_key: str = ""
    client_key: SecretStr = field(default_factory=lambda: SecretStr(""))
    password: str = ""
    """Root's there; without one nobody logs in by a password."""
    _process: subprocess.Popen[bytes] | None = field(default=None)

    def prepare(self) -> None:
        self.port = self.port or free_port()
        self.new_host_key()
        _keygen(self.directory / "client_key")
        self.client_key = SecretStr((self.directory / "client_key").read_text())
        (self.directory / "authorized_keys").write_text((self.directory / "client_key.pub").read_text())

    def new_host_key(self) -> None:
        """As a reinstalled host has; holds from the next start on."""
        _keygen(self.directory / "host_key")
        self.host_key = " ".join((self.directory / "host_key.pub").read_text().split()[:2])

    def start(self) -> None:
        (self.directory / "sshd_config").write_text(self._config())
        Path("/run/sshd").mkdir(exist_ok=True)
        log = (self.directory / "log").open("ab")
        self._process = subprocess.Popen(
            [*self._apart(), PROGRAM, "-D", "-e", "-f", str(self.directory / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self.port):
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """End it with all its connections, as a crash of the host would."""
        if self._process is not None:
            for pid in self.session_pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it hang, its connections too: everything stays open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def cut(self) -> None:
        """End every connection, and only them."""
        for pid in self.session_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def session_pids(self) -> list[int]:
        """The processes of its connections (not what they started)."""
        assert self._process is not None
        found, parents = [], [self._process.pid]
        while parents:
            children = [
                pid for parent in parents for pid in _children(parent) if _name(pid).startswith("sshd")
            ]
            found += children
            parents = children
        return found

    def logins(self) -> int:
        return self._log().count("Accepted publickey")

    def refusals(self) -> int:
        """How many connections tried a user that isn't there."""
        return self._log().count("Invalid user")

    def _log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def address(self, work_dir: Path, *, host_id: UUID | None = None, sudo: bool = False) -> HostAddress:
        """How the service reaches it."""
        return HostAddress(
            id=host_id or uuid4(),
            address="127.0.0.1",
            port=self.port,
            username=getpass.getuser(),
            host_key=self.host_key,
            private_key=self.client_key,
            password=None,
            sudo=sudo,
            work_dir=str(work_dir),
        )

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        for pid in [self._process.pid, *self.session_pids()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _apart(self) -> list[str]:
        """With a password: a file of passwords of its own, in mounts of its own."""
        if not self.password:
            return []
        shadow = self.directory / "shadow"
        shadow.touch(mode=0o600)
        shadow.write_text(f"root:{_crypted(self.password)}:19000:0:99999:7:::\n")
        script = 'mount --bind "$0" /etc/shadow && exec "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(shadow)]

    def _config(self) -> str:
        return f"""\
ListenAddress 127.0.0.1
Port {self.port}
HostKey {self.directory}/host_key
AuthorizedKeysFile {self.directory}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication {"yes" if self.password else "no"}
Subsystem sftp internal-sftp
SetEnv PATH={self.path} HOME={self.directory}
"""


def _keygen(path: Path) -> None:
    path.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=30)


def _crypted(password: str) -> str:
    argv = ["openssl", "passwd", "-6", "-stdin"]
    return subprocess.run(argv, input=password, capture_output=True, text=True, check=True).stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


@contextlib.contextmanager
def ssh_server(*, path: str | None = None, password: str = "") -> Iterator[SshServer]:
    """A running server of one's own."""
    with tempfile.TemporaryDirectory(prefix="sshd-", dir="/tmp") as name:
        server = SshServer(Path(name), path=path or HOST_PATH, password=password)
        server.prepare()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def sshd() -> Iterator[SshServer]:
    """One server for the whole run; who stops, pauses or re-keys it takes `own_sshd`."""
    with ssh_server() as server:
        yield server


@pytest.fixture
def own_sshd() -> Iterator[SshServer]:
    """A server of this test's own."""
    with ssh_server() as server:
        yield server
