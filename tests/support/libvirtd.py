"""A private libvirtd with its QEMU driver: its own sockets, settings and domains, in mounts of its own."""

import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.support.certificates import Certificate
from tests.support.sshd import free_port

START_SECONDS = 60
APART = ("unshare", "--mount", "--propagation", "private")
SCRIPT = """set -e
for place in /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt /run/libvirt; do
  mkdir -p "$place"
  mount -t tmpfs tmpfs "$place"
done
cp qemu.conf /etc/libvirt/
mount --bind passwd /etc/passwd
mount --bind group /etc/group
exec libvirtd "$@" -f "$PWD/libvirtd.conf" -p "$PWD/pid"
"""
QEMU = """user = "root"
group = "root"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""
TLS = """listen_addr = "127.0.0.1"
tls_port = "{port}"
auth_tls = "none"
tls_no_verify_certificate = 1
tls_no_sanity_certificate = 1
ca_file = "{one.path}"
cert_file = "{one.path}"
key_file = "{one.key_path}"
"""
ACCOUNT = "libvirt-qemu"
"""The driver wants it to exist, whoever it lets QEMU run as."""


class Libvirtd:
    """As root only. `socket` is where it listens; with a certificate also at `tls_port` of loopback."""

    def __init__(self, directory: Path, certificate: Certificate | None = None) -> None:
        self.directory, self.socket = directory, directory / "libvirt-sock"
        self.certificate, self.tls_port = certificate, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"qemu+unix:///system?socket={self.socket}"

    def start(self) -> None:
        self._write_settings()
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*APART, "sh", "-c", SCRIPT, "sh", *(["--listen"] if self.certificate else [])],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(START_SECONDS)

    def define(self, xml: str) -> str:
        """The domain's UUID."""
        with self._connected() as connection:
            uuid: str = connection.defineXML(xml).UUIDString()
        return uuid

    def start_domain(self, uuid: str) -> None:
        with self._connected() as connection:
            connection.lookupByUUIDString(uuid).create()

    def end_domain(self, uuid: str) -> None:
        with self._connected() as connection:
            connection.lookupByUUIDString(uuid).destroy()

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        connection = libvirt.open(self.uri)
        try:
            yield connection
        finally:
            connection.close()

    def _write_settings(self) -> None:
        (self.directory / "qemu.conf").write_text(QEMU)
        text = f'unix_sock_dir = "{self.directory}"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
        if self.certificate is not None:
            text += TLS.format(one=self.certificate, port=self.tls_port)
        (self.directory / "libvirtd.conf").write_text(text)
        users, groups = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
        (self.directory / "passwd").write_text(f"{users}{ACCOUNT}:x:64055:64055::/:/usr/sbin/nologin\n")
        (self.directory / "group").write_text(f"{groups}{ACCOUNT}:x:64055:\n")

    def _answers(self) -> bool:
        libvirt.registerErrorHandler(lambda _, __: None, None)
        try:
            libvirt.openReadOnly(self.uri).close()
        except libvirt.libvirtError:
            return False
        return True


def kvm_domain(name: str, uuid: str, devices: str) -> str:
    """A domain that QEMU emulates: no host needs KVM for it."""
    return f"""<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid>
      <memory unit='MiB'>512</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os>
      <devices>{devices}</devices></domain>"""


@pytest.fixture(scope="session")
def libvirtd() -> Iterator[Libvirtd]:
    """One for the whole run; each test defines domains of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="v2v-", dir="/tmp") as name,
        running(Libvirtd(Path(name))) as made,
    ):
        yield made


@contextmanager
def running(server: Libvirtd) -> Iterator[Libvirtd]:
    server.start()
    try:
        yield server
    finally:
        server.stop()
