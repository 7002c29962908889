"""A real sshd: commands arrive as they are, and every way to fail has its own error."""

import asyncio
import dataclasses
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncssh
import pytest
from pydantic import SecretStr

from app.errors import (
    HostAuthenticationError,
    HostConnectionLostError,
    HostDeadlineError,
    HostKeyMismatchError,
    HostUnreachableError,
    SudoRefusedError,
)
from app.proxy import ssh
from app.proxy.pool import put_in_place
from app.proxy.ssh import CHANNELS, SshProxy, connect
from tests.support.sshd import HOST_PATH, SshServer, free_port, ssh_server

WORK_DIR = Path("/tmp/unused")
ODD_WORDS = [
    "with space",
    "it's",
    '"double"',
    "$(id)",
    "`id`",
    "new\nline",
    "-rf",
    "ü",
    "",
    "*",
    "~",
    "!x",
    "\\",
]


@pytest.fixture
async def proxy(sshd: SshServer) -> AsyncIterator[SshProxy]:
    connected = await connect(sshd.address(WORK_DIR))
    yield connected
    connected.close()
    await connected.wait_closed()


@pytest.fixture
async def own_proxy(own_sshd: SshServer) -> AsyncIterator[SshProxy]:
    connected = await connect(own_sshd.address(WORK_DIR))
    yield connected
    connected.close()
    own_sshd.resume()
    await connected.wait_closed()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A peer that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        yield port


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is the one thing that tests may change."""
    monkeypatch.setattr(ssh, "CONNECT_SECONDS", 0.5)


async def test_arguments_arrive_as_they_are(proxy: SshProxy) -> None:
    done = await proxy.run(["printf", "%s\\0", *ODD_WORDS], timeout_seconds=10)
    assert done.stdout.decode().split("\0")[:-1] == ODD_WORDS


async def test_bytes_go_in_and_out_whatever_they_are(proxy: SshProxy) -> None:
    data = bytes(range(256)) * 4096
    done = await proxy.run(["cat"], timeout_seconds=10, stdin=data)
    assert (done.stdout, done.stderr, done.exit_status) == (data, b"", 0)


async def test_without_input_a_command_reads_its_end(proxy: SshProxy) -> None:
    assert (await proxy.run(["cat"], timeout_seconds=10)).stdout == b""


async def test_a_command_that_ends_without_reading_its_input_has_a_status(proxy: SshProxy) -> None:
    done = await proxy.run(["sh", "-c", "exit 3"], timeout_seconds=10, stdin=bytes(1 << 20))
    assert done.exit_status == 3


async def test_any_exit_status_is_a_result(proxy: SshProxy) -> None:
    done = await proxy.run(["sh", "-c", "echo no >&2; exit 7"], timeout_seconds=10)
    assert (done.exit_status, done.stderr) == (7, b"no\n")


async def test_a_signal_is_a_negative_exit_status(proxy: SshProxy) -> None:
    done = await proxy.run(["sh", "-c", "kill -TERM $$"], timeout_seconds=10)
    assert done.exit_status == -15


async def test_the_environment_arrives(proxy: SshProxy) -> None:
    done = await proxy.run(["sh", "-c", "echo $ODD"], timeout_seconds=10, environment={"ODD": "it's $(x)"})
    assert done.stdout == b"it's $(x)\n"


async def test_more_commands_at_once_than_sshd_allows_sessions(proxy: SshProxy) -> None:
    async with proxy.open(["cat"]):
        done = await asyncio.gather(
            *(proxy.run(["sh", "-c", "sleep 0.05"], timeout_seconds=20) for _ in range(3 * CHANNELS))
        )
    assert {result.exit_status for result in done} == {0}


async def test_a_command_that_takes_too_long_is_given_up(proxy: SshProxy) -> None:
    with pytest.raises(HostDeadlineError):
        await proxy.run(["sleep", "5"], timeout_seconds=0.3)


async def test_sessions_that_were_given_up_do_not_add_up(proxy: SshProxy) -> None:
    for _ in range(12):
        with pytest.raises(HostDeadlineError):
            await proxy.run(["sleep", "0.5"], timeout_seconds=0.02)
    assert (await proxy.run(["true"], timeout_seconds=10)).exit_status == 0


async def test_a_connection_that_is_lost_is_no_result(own_sshd: SshServer, own_proxy: SshProxy) -> None:
    running = asyncio.create_task(own_proxy.run(["sleep", "20"], timeout_seconds=20))
    await asyncio.sleep(0.3)
    own_sshd.cut()
    with pytest.raises(HostConnectionLostError):
        await running
    assert own_proxy.is_closed
    with pytest.raises(HostConnectionLostError):
        await own_proxy.run(["true"], timeout_seconds=5)


async def test_a_channel_that_is_cut_says_so(own_sshd: SshServer, own_proxy: SshProxy) -> None:
    async with own_proxy.open(["sh", "-c", "echo hello; sleep 20"]) as channel:
        chunks = channel.chunks()
        assert await anext(chunks) == b"hello\n"
        own_sshd.cut()
        with pytest.raises(HostConnectionLostError):
            await anext(chunks)


async def test_a_channel_ends_with_its_command(proxy: SshProxy) -> None:
    async with proxy.open(["cat"]) as channel:
        chunks = channel.chunks()
        await channel.send(b"\xffecho\n")
        assert await anext(chunks) == b"\xffecho\n"


async def test_leaving_a_channel_closes_the_commands_input(proxy: SshProxy, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    async with proxy.open(["sh", "-c", f"cat >/dev/null; touch {gone}"]):
        pass
    async with asyncio.timeout(30):
        await proxy.run(["sh", "-c", f"until [ -e {gone} ]; do sleep 0.02; done"], timeout_seconds=10)


async def test_a_host_that_hangs_meets_the_deadline(own_sshd: SshServer, own_proxy: SshProxy) -> None:
    own_sshd.pause()
    with pytest.raises(HostDeadlineError):
        await own_proxy.run(["true"], timeout_seconds=0.3)


async def test_nobody_listening_is_unreachable(sshd: SshServer) -> None:
    with pytest.raises(HostUnreachableError):
        await connect(dataclasses.replace(sshd.address(WORK_DIR), port=free_port()))


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a..b", "", "x" * 300])
async def test_a_name_that_leads_nowhere_is_unreachable(sshd: SshServer, name: str) -> None:
    with pytest.raises(HostUnreachableError):
        await connect(dataclasses.replace(sshd.address(WORK_DIR), address=name))


async def test_a_silent_peer_meets_the_deadline(
    sshd: SshServer, silent_port: int, short_patience: None
) -> None:
    started = time.monotonic()
    with pytest.raises(HostDeadlineError):
        await connect(dataclasses.replace(sshd.address(WORK_DIR), port=silent_port))
    assert time.monotonic() - started < 5


async def test_something_else_than_sshd_is_unreachable(sshd: SshServer) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(HostUnreachableError):
            await connect(dataclasses.replace(sshd.address(WORK_DIR), port=port))


async def test_another_host_key_is_never_accepted(sshd: SshServer, own_sshd: SshServer) -> None:
    wrong = dataclasses.replace(sshd.address(WORK_DIR), host_key=own_sshd.host_key)
    with pytest.raises(HostKeyMismatchError):
        await connect(wrong)


async def test_another_kind_of_host_key_is_never_accepted(sshd: SshServer) -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048).export_public_key().decode()
    with pytest.raises(HostKeyMismatchError):
        await connect(dataclasses.replace(sshd.address(WORK_DIR), host_key=key))


async def test_a_host_key_that_cannot_be_read_is_no_free_pass(sshd: SshServer) -> None:
    for text in ("", "nonsense", "ssh-ed25519 AAAA"):
        with pytest.raises(HostKeyMismatchError):
            await connect(dataclasses.replace(sshd.address(WORK_DIR), host_key=text))


async def test_a_key_that_the_host_does_not_know_is_refused(sshd: SshServer, own_sshd: SshServer) -> None:
    stranger = dataclasses.replace(sshd.address(WORK_DIR), private_key=own_sshd.client_key)
    with pytest.raises(HostAuthenticationError):
        await connect(stranger)


async def test_no_other_key_is_tried(
    sshd: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_text(sshd.client_key.get_secret_value())
    monkeypatch.setenv("HOME", str(tmp_path))
    keyless = dataclasses.replace(sshd.address(WORK_DIR), private_key=None, password=SecretStr("wrong"))
    with pytest.raises(HostAuthenticationError):
        await connect(keyless)


async def test_a_private_key_that_cannot_be_read_is_refused_without_showing_it(sshd: SshServer) -> None:
    bad = dataclasses.replace(sshd.address(WORK_DIR), private_key=SecretStr("garbage-secret"))
    with pytest.raises(HostAuthenticationError) as caught:
        await connect(bad)
    assert "garbage-secret" not in str(caught.value)


async def test_an_errors_cause_never_holds_the_password(sshd: SshServer) -> None:
    address = dataclasses.replace(sshd.address(WORK_DIR), private_key=None, password=SecretStr("pass-secret"))
    with pytest.raises(HostAuthenticationError) as caught:
        await connect(address)
    assert "pass-secret" not in repr(caught.value) + repr(caught.value.__cause__) + repr(address)


async def test_sudo_is_asked_without_a_password_and_its_refusal_is_told(
    tmp_path: Path, work_dir: Path
) -> None:
    stand_in(tmp_path / "sudo", 'echo "sudo: a password is required" >&2; exit 1')
    with ssh_server(path=f"{tmp_path}:{HOST_PATH}") as server:
        connected = await connect(server.address(work_dir, sudo=True))
        with pytest.raises(SudoRefusedError):
            await put_in_place(connected, f"{work_dir}/agent/program")
        connected.close()


async def test_with_sudo_the_command_and_its_words_go_through_it(tmp_path: Path) -> None:
    stand_in(tmp_path / "sudo", '[ "$1 $2" = "-n --" ] || exit 9; shift 2; exec "$@"')
    with ssh_server(path=f"{tmp_path}:{HOST_PATH}") as server:
        connected = await connect(server.address(WORK_DIR, sudo=True))
        done = await connected.run(["printf", "%s\\0", *ODD_WORDS], timeout_seconds=10)
        connected.close()
    assert done.stdout.decode().split("\0")[:-1] == ODD_WORDS


def stand_in(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
