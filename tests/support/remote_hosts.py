"""Hosts of VMs that a proxy host logs in to: this machine behind a private sshd, and what we leave on it."""

import getpass
import subprocess
from pathlib import Path

from app.proxy.provider_images import RemoteLogin
from tests.support.sshd import SshServer


def remote_login(sshd: SshServer) -> RemoteLogin:
    return RemoteLogin("127.0.0.1", sshd.port, getpass.getuser(), sshd.host_key, by_password=False)


def serving(text: str) -> list[int]:
    """The qemu-nbds in whose command line the text stands."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if words and words[0].endswith(b"qemu-nbd") and any(text.encode() in word for word in words):
            found.append(int(entry.name))
    return found


def directory_of(pid: int) -> Path:
    """Where that qemu-nbd has its socket."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    option = next(word for word in words if word.startswith(b"--socket="))
    return Path(option.removeprefix(b"--socket=").decode()).parent


def raw_image(directory: Path, name: str, data: bytes) -> Path:
    path = directory / name
    path.write_bytes(data)
    return path


def qcow2_on(backing: Path) -> Path:
    """An image beside that one, which holds nothing and stands on it."""
    top = backing.with_name(f"{backing.name}.top")
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", backing.name, top.name]
    subprocess.run(argv, check=True, cwd=backing.parent)
    return top
