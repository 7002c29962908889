"""Host keys and private keys, against OpenSSH's own tools."""

import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.errors import HostDeadlineError, HostUnreachableError
from app.proxy import host_keys
from app.proxy.host_keys import check_private_key, fingerprint, offered_host_key
from tests.support.sshd import SshServer, free_port


async def test_the_offered_key_is_the_hosts(sshd: SshServer) -> None:
    assert await offered_host_key("127.0.0.1", sshd.port) == sshd.host_key


async def test_nobody_listening_is_unreachable() -> None:
    with pytest.raises(HostUnreachableError):
        await offered_host_key("127.0.0.1", free_port())


async def test_a_host_that_says_nothing_meets_the_deadline(
    own_sshd: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_keys, "CONNECT_SECONDS", 0.5)
    own_sshd.pause()
    with pytest.raises(HostDeadlineError):
        await offered_host_key("127.0.0.1", own_sshd.port)
    own_sshd.resume()


def test_the_fingerprint_is_the_one_that_ssh_keygen_shows(sshd: SshServer) -> None:
    command = ["ssh-keygen", "-l", "-f", str(sshd.directory / "host_key.pub")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert fingerprint(sshd.host_key) == shown.split()[1]


@pytest.mark.parametrize("text", ["", "nonsense", "ssh-ed25519", "ssh-ed25519 AAAA", "a b c\nd"])
def test_what_is_no_key_has_no_fingerprint(text: str) -> None:
    with pytest.raises(ValueError, match="no OpenSSH public key"):
        fingerprint(text)


def test_a_private_key_that_can_be_used_is_fine(sshd: SshServer) -> None:
    check_private_key(sshd.client_key)


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "phrase", "-f", str(tmp_path / "key")]
    subprocess.run(command, check=True)
    with pytest.raises(ValueError, match="passphrase"):
        check_private_key(SecretStr((tmp_path / "key").read_text()))


def test_a_key_that_cannot_be_read_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="no private key") as caught:
        check_private_key(SecretStr("garbage-secret"))
    assert "garbage-secret" not in str(caught.value)
