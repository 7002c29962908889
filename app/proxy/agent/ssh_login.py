"""Logs in from the proxy host to a host that has VMs: by one secret, to one host key, by no one's settings.

The secret stays in a file that only its path leads to; the host runs a shell program of ours, which it reads
from standard input, so that no login shell sees anything of it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from app.proxy.agent.refusals import (
    ProviderAuthenticationError,
    ProviderKeyMismatchError,
    ProviderUnreachableError,
    RefusedError,
)

ALIAS = "provider"
"""What the host is called in the file of known hosts, whatever its name and port are."""
KNOWN_HOSTS, ASKPASS = "known_hosts", "askpass"
SECRET_VARIABLE = "V2V_IMPORT_SECRET_FILE"  # noqa: S105  # the name of the variable that names the file
CONNECT_SECONDS = 20
FAILED = 255
"""ssh's own failure; any other status is that of the program on the host."""
QUICK_CIPHERS = (
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr"
)
RSA = "rsa-sha2-512,rsa-sha2-256,ssh-rsa"
OPTIONS = {
    "CheckHostIP": "no",
    "Ciphers": QUICK_CIPHERS,
    "ConnectTimeout": str(CONNECT_SECONDS),
    "ControlMaster": "no",
    "ControlPath": "none",
    "ExitOnForwardFailure": "yes",
    "GlobalKnownHostsFile": "/dev/null",
    "HostKeyAlias": ALIAS,
    "IdentitiesOnly": "yes",
    "LogLevel": "ERROR",
    "ServerAliveCountMax": "4",
    "ServerAliveInterval": "15",
    "StreamLocalBindMask": "0177",
    "StreamLocalBindUnlink": "yes",
    "StrictHostKeyChecking": "yes",
    "UserKnownHostsFile": KNOWN_HOSTS,
}


class Login(NamedTuple):
    """`host_key` is the line that the host must show; the secret is a private key, or a password."""

    host: str
    port: int
    username: str
    host_key: str
    by_password: bool


class Ssh(NamedTuple):
    """A command for `subprocess`; it runs in `directory`, which holds nothing secret."""

    argv: list[str]
    environment: dict[str, str]
    directory: Path


def ssh_to(login: Login, secret: str, directory: Path, more: list[str] | None = None) -> Ssh:
    """`secret` is the path of its file. Raises RefusedError when there is no ssh."""
    program = shutil.which("ssh")
    if program is None:
        raise RefusedError("ssh is not installed on the proxy host.")
    (directory / KNOWN_HOSTS).write_text(f"{ALIAS} {login.host_key}\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    if login.by_password:
        environment.update(ask_for(Path(secret), directory))
    options = [f"-o{name}={value}" for name, value in {**OPTIONS, **_way_in(login)}.items()]
    # An OpenSSH of before its agents could be named knows no `none` for them, but `-a` and no socket do.
    identity = [] if login.by_password else ["-i", secret.replace("%", "%%")]
    where = ["-p", str(login.port), "-l", login.username, *(more or []), "--", login.host, "exec /bin/sh"]
    return Ssh([program, "-F", "none", "-T", "-a", "-x", *options, *identity, *where], environment, directory)


def key_algorithms(login: Login) -> str:
    """Those in which the host is to show its key, as `HostKeyAlgorithms` has them."""
    kind = login.host_key.partition(" ")[0]
    return RSA if kind == "ssh-rsa" else kind


def _way_in(login: Login) -> dict[str, str]:
    algorithms = {"HostKeyAlgorithms": key_algorithms(login)}
    if login.by_password:
        return {
            **algorithms,
            "NumberOfPasswordPrompts": "1",
            "PreferredAuthentications": "password,keyboard-interactive",
            "PubkeyAuthentication": "no",
        }
    return {**algorithms, "BatchMode": "yes", "PreferredAuthentications": "publickey"}


def ask_for(secret: Path, directory: Path) -> dict[str, str]:
    """The variables by which ssh finds the password in its file, by a program in the directory.

    An OpenSSH of before 8.4 asks so where there is a display and no terminal.
    """
    askpass = directory / ASKPASS
    askpass.write_text(f'#!/bin/sh\nexec cat "${SECRET_VARIABLE}"\n', encoding="ascii")
    askpass.chmod(0o700)
    return {
        "SSH_ASKPASS": str(askpass),
        "SSH_ASKPASS_REQUIRE": "force",
        "DISPLAY": ":",
        SECRET_VARIABLE: str(secret),
    }


def refusal(login: Login, status: int, said: str) -> RefusedError:
    """Why there was no answer."""
    words = said.strip()[-500:] or f"ssh ended with status {status}"
    where = f"{login.username}@{login.host} port {login.port}"
    if "host key" in said.lower() or "HOST IDENTIFICATION" in said:
        return ProviderKeyMismatchError(f"{where} shows another host key than the accepted one.")
    if "permission denied" in said.lower() or "authentication" in said.lower():
        return ProviderAuthenticationError(f"{where} refused the login: {words}")
    return ProviderUnreachableError(f"The proxy host does not reach {where}: {words}")
