"""A proxy host with a newer virt-v2v: Debian 13 in a directory, built once, behind an sshd of its own."""

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.sshd import SshServer

CACHE = Path(__file__).parents[2] / ".cache"
SUITE = "trixie"
PACKAGES = "virt-v2v,nbdkit,openssh-server,python3,ca-certificates,curl,linux-image-amd64"
BUILD_SECONDS = 900
ENTER = """\
mount --bind "$0" "$0" && cd "$0" && mount -t proc proc proc && mount --rbind /dev dev &&
mount --bind /tmp tmp && mkdir -p run/sshd && exec chroot . "$@"
"""
"""It shares `/tmp` with this machine, as proxy hosts share storage; its root is a mount, as theirs are."""


@dataclass
class NewerHost(SshServer):
    """An sshd in that system, in mounts of its own, which end with it."""

    tree: Path = field(default_factory=Path)

    def _apart(self) -> list[str]:
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, str(self.tree)]


@contextlib.contextmanager
def newer_host() -> Iterator[NewerHost]:
    """It takes root, and a Debian mirror when it is built."""
    with tempfile.TemporaryDirectory(prefix="sshd-", dir="/tmp") as name:
        server = NewerHost(Path(name), tree=_built())
        server.prepare()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _built() -> Path:
    CACHE.mkdir(exist_ok=True)
    version = hashlib.sha256(f"{SUITE} {PACKAGES}".encode()).hexdigest()[:12]
    tree = CACHE / f"{SUITE}-{version}"
    with (CACHE / f"{SUITE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.is_dir():
            part = CACHE / f"{SUITE}.part"
            shutil.rmtree(part, ignore_errors=True)
            command = ["mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io"]
            command += [f"--include={PACKAGES}", SUITE, str(part)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=BUILD_SECONDS)
            part.rename(tree)
    return tree.resolve()
