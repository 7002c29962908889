"""Disks at their VM's host are looked at there, by SSH from the proxy host: real ssh, sshd and qemu-img."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.errors import (
    InvalidSourceError,
    ProviderAuthenticationError,
    ProviderKeyMismatchError,
    ProviderUnreachableError,
    SourceNotFoundError,
    UnsafeImageError,
)
from app.models.vm import ImageFile
from app.proxy.agent.ssh_login import ASKPASS, Login, ssh_to
from app.proxy.agent_client import HostAgent
from app.proxy.provider_images import RemoteImage
from tests.support.remote_hosts import remote_login
from tests.support.sshd import SshServer, free_port, ssh_server

MIB = 2**20


def image(path: Path, *options: str, size: str = "8M", kind: str = "qcow2") -> Path:
    argv = ["qemu-img", "create", "-q", "-f", kind, *options, path.name, size]
    subprocess.run(argv, check=True, cwd=path.parent)
    return path


def new_key(path: Path) -> SecretStr:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return SecretStr(path.read_text())


def public_line(path: Path) -> str:
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


class There:
    """The VM's host, as the proxy host's agent sees it."""

    def __init__(self, agent: HostAgent, sshd: SshServer) -> None:
        self.agent, self.login, self.secret = agent, remote_login(sshd), sshd.client_key

    async def look(self, *disks: tuple[Path, str]) -> tuple[RemoteImage, ...]:
        wanted = [ImageFile(path=str(path), format=kind) for path, kind in disks]
        return await self.agent.provider_images(self.login, self.secret, wanted)


@pytest.fixture
def there(local_agent: HostAgent, sshd: SshServer) -> There:
    return There(local_agent, sshd)


async def test_images_are_told_with_their_real_paths_sizes_and_chains(there: There, tmp_path: Path) -> None:
    base = image(tmp_path / "it's $(a) base.raw", kind="raw")
    middle = image(tmp_path / "middle", "-b", base.name, "-F", "raw")
    top = image(tmp_path / "top", "-b", str(middle), "-F", "qcow2", size="16M")
    link = tmp_path / "link"
    link.symlink_to(top)
    first, second = await there.look((link, "qcow2"), (base, "raw"))
    assert (first.path, first.format, first.virtual_bytes) == (str(top), "qcow2", 16 * MIB)
    assert [(one.path, one.format) for one in first.chain] == [(str(middle), "qcow2"), (str(base), "raw")]
    assert (second.path, second.virtual_bytes, second.chain) == (str(base), 8 * MIB, ())
    assert first.is_encrypted is False


async def test_a_raw_disk_whose_guest_wrote_a_header_into_it_is_raw(there: There, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk", "-b", "/etc/hostname", "-F", "raw", "-u")
    os.truncate(disk, MIB)
    [found] = await there.look((disk, "raw"))
    assert (found.format, found.virtual_bytes, found.chain) == ("raw", MIB, ())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("-b", "/etc/hostname", "-F", "raw", "-u"), "outside its own directory"),
        (("-b", "../other/x", "-F", "raw", "-u"), "outside its own directory"),
        (("-b", "nbd://127.0.0.1:1/x", "-F", "raw", "-u"), "no file's path"),
        (("-o", "data_file=data,data_file_raw=on"), "keeps its data in another file"),
    ],
)
async def test_what_refers_elsewhere_is_unsafe(
    there: There, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    directory = tmp_path / "images"
    directory.mkdir()
    disk = image(directory / "disk", *options)
    with pytest.raises(UnsafeImageError, match=told):
        await there.look((disk, "qcow2"))


async def test_a_link_out_of_the_directory_is_unsafe_as_a_backing_file(there: There, tmp_path: Path) -> None:
    (tmp_path / "base").symlink_to("/etc/hostname")
    disk = image(tmp_path / "disk", "-b", "base", "-F", "raw", "-u")
    with pytest.raises(UnsafeImageError, match="outside its own directory"):
        await there.look((disk, "qcow2"))


async def test_what_is_not_there_or_no_image_is_told(there: There, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no image")
    with pytest.raises(SourceNotFoundError, match="none' on the VM's host"):
        await there.look((tmp_path / "none", "raw"))
    with pytest.raises(InvalidSourceError, match="qemu-img can't read"):
        await there.look((text, "qcow2"))
    with pytest.raises(InvalidSourceError, match="can't be brought"):
        await there.look((text, "vmdk"))
    with pytest.raises(InvalidSourceError, match="no absolute path"):
        await there.look((Path("/a\nb"), "raw"))


async def test_another_host_key_is_refused_before_anything_is_sent(
    there: There, tmp_path: Path, sshd: SshServer
) -> None:
    before = sshd.logins()
    new_key(tmp_path / "key")
    there.login = replace(there.login, host_key=public_line(tmp_path / "key"))
    with pytest.raises(ProviderKeyMismatchError):
        await there.look((Path("/dev/null"), "raw"))
    assert sshd.logins() == before


async def test_a_refused_key_and_a_dead_host_are_told_apart(there: There, tmp_path: Path) -> None:
    there.secret = new_key(tmp_path / "key")
    with pytest.raises(ProviderAuthenticationError, match="refused the login"):
        await there.look((Path("/dev/null"), "raw"))
    there.login = replace(there.login, port=free_port())
    with pytest.raises(ProviderUnreachableError, match="Connection refused"):
        await there.look((Path("/dev/null"), "raw"))


async def test_a_password_logs_in_as_a_key_does(local_agent: HostAgent, tmp_path: Path) -> None:
    with ssh_server(password="it's $(a) password") as server:
        there = There(local_agent, server)
        there.login = replace(there.login, by_password=True)
        there.secret = SecretStr(server.password)
        [found] = await there.look((image(tmp_path / "disk"), "qcow2"))
        assert found.virtual_bytes == 8 * MIB
        there.secret = SecretStr("another")
        with pytest.raises(ProviderAuthenticationError):
            await there.look((tmp_path / "disk", "qcow2"))


def test_a_password_is_read_from_its_file_and_stands_in_no_argument(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pass $(word)")
    login = Login("kvm.example", 22, "root", "ssh-ed25519 AAAA", by_password=True)
    ssh = ssh_to(login, str(secret), tmp_path)
    asked = subprocess.run(
        [str(tmp_path / ASKPASS), "root@kvm.example's password: "],
        env=ssh.environment,
        capture_output=True,
        check=True,
    )
    assert asked.stdout == b"pass $(word)"
    assert "pass $(word)" not in " ".join(ssh.argv) + " ".join(ssh.environment.values())
