"""Lets what virt-v2v starts log in to one host by SSH: by one secret, to one host key, by no one's settings.

`-it ssh` (virt-v2v-input-vmware(1)) runs ssh and scp, and nbdkit with libssh. None of them can be told what
to use, and all look into `.ssh` in the home that the system has for the user, whatever `HOME` says. So the
job gets mounts of its own, in which a directory of ours lies there.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from app.proxy.agent import own_mounts
from app.proxy.agent.ssh_login import Login, ask_for, key_algorithms

NAME = "ssh-home"
SSH_PORT = 22
CONFIG = """\
Host *
  BatchMode {batch_mode}
  CheckHostIP no
  ConnectTimeout 20
  GlobalKnownHostsFile /dev/null
  HostKeyAlgorithms {algorithms}
  NumberOfPasswordPrompts 1
  PreferredAuthentications {methods}
  ServerAliveCountMax 4
  ServerAliveInterval 15
  StrictHostKeyChecking yes
"""


def log_in(login: Login, secret: Path) -> None:
    """Do so for this process, and for what comes from it; `secret` stays where it is. Raises OSError."""
    place = Path(pwd.getpwuid(os.geteuid()).pw_dir, ".ssh")
    place.mkdir(mode=0o700, exist_ok=True)
    directory = _filled(secret.with_name(NAME), login, secret)
    own_mounts.leave_the_hosts()
    own_mounts.bind(directory, place)
    os.environ.pop("SSH_AUTH_SOCK", None)
    if login.by_password:
        os.environ.update(ask_for(secret, directory))


def _filled(directory: Path, login: Login, secret: Path) -> Path:
    directory.mkdir(mode=0o700, exist_ok=True)
    name = login.host if login.port == SSH_PORT else f"[{login.host}]:{login.port}"
    (directory / "known_hosts").write_text(f"{name} {login.host_key}\n", encoding="utf-8")
    config = CONFIG.format(
        batch_mode="no" if login.by_password else "yes",
        algorithms=key_algorithms(login),
        methods="password,keyboard-interactive" if login.by_password else "publickey",
    )
    (directory / "config").write_text(config, encoding="ascii")
    key = directory / "id_rsa"
    if not login.by_password and not key.is_symlink():
        # It is called so whatever it is: they look into the file.
        key.symlink_to(secret)
    return directory
