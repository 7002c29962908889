"""The pool: one connection a host, the program in place, failures shared for a moment."""

import asyncio
import dataclasses
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.errors import (
    HostConnectionLostError,
    HostKeyMismatchError,
    HostUnreachableError,
    PythonMissingError,
    VirtV2vMissingError,
    WorkDirUnusableError,
)
from app.proxy.pool import RETRY_SECONDS, ProxyPool
from tests.support.hosts import installation_id
from tests.support.sshd import HOST_PATH, SshServer, ssh_server


@pytest.fixture
async def pool() -> AsyncIterator[ProxyPool]:
    opened = ProxyPool(installation_id)
    yield opened
    await opened.close()


def empty(directory: Path) -> None:
    for entry in directory.iterdir():
        shutil.rmtree(entry)


async def test_the_agent_answers_over_ssh(pool: ProxyPool, sshd: SshServer, work_dir: Path) -> None:
    agent = await pool.agent(sshd.address(work_dir))
    probe = await agent.probe(virt_v2v_path="virt-v2v", environment={})
    assert probe.v2v_version.startswith("virt-v2v ")
    assert "input:ova" in probe.v2v_capabilities
    assert probe.free_bytes > 0


async def test_a_missing_virt_v2v_is_told(pool: ProxyPool, sshd: SshServer, work_dir: Path) -> None:
    agent = await pool.agent(sshd.address(work_dir))
    for path in ("no-such-v2v", "/no/such/v2v", "/etc/passwd"):
        with pytest.raises(VirtV2vMissingError):
            await agent.probe(virt_v2v_path=path, environment={})


async def test_callers_that_come_together_share_one_connection(
    pool: ProxyPool, own_sshd: SshServer, work_dir: Path
) -> None:
    address = own_sshd.address(work_dir)
    agents = await asyncio.gather(*(pool.agent(address) for _ in range(20)))
    assert len({id(agent.proxy) for agent in agents}) == 1
    assert own_sshd.logins() == 1


async def test_a_caller_that_goes_away_does_not_take_the_others_connection(
    pool: ProxyPool, sshd: SshServer, work_dir: Path
) -> None:
    address = sshd.address(work_dir)
    leaving = asyncio.create_task(pool.agent(address))
    staying = asyncio.create_task(pool.agent(address))
    await asyncio.sleep(0.05)
    leaving.cancel()
    await (await staying).ready()


async def test_a_lost_connection_is_made_anew(pool: ProxyPool, own_sshd: SshServer, work_dir: Path) -> None:
    address = own_sshd.address(work_dir)
    agent = await pool.agent(address)
    own_sshd.cut()
    with pytest.raises(HostConnectionLostError):
        await agent.ready()
    await (await pool.agent(address)).ready()


async def test_a_restarted_host_is_reached_again(
    pool: ProxyPool, own_sshd: SshServer, work_dir: Path
) -> None:
    address = own_sshd.address(work_dir)
    await pool.agent(address)
    own_sshd.stop()
    await asyncio.sleep(0.1)
    with pytest.raises(HostUnreachableError):
        await pool.agent(address)
    own_sshd.start()
    await asyncio.sleep(1)
    await (await pool.agent(address)).ready()


async def test_a_failure_is_shared_for_a_moment(pool: ProxyPool, own_sshd: SshServer, work_dir: Path) -> None:
    address = dataclasses.replace(own_sshd.address(work_dir), username="no-such-user")
    for _ in range(5):
        with pytest.raises(Exception, match="refused"):
            await pool.agent(address)
    assert own_sshd.refusals() == 1


async def test_while_a_host_that_failed_is_tried_again_only_one_stands_before_its_door(
    pool: ProxyPool, own_sshd: SshServer, work_dir: Path
) -> None:
    address = own_sshd.address(work_dir)
    own_sshd.stop()
    with pytest.raises(HostUnreachableError):
        await pool.agent(address, waits=False)
    async with await asyncio.start_server(_say_nothing, "127.0.0.1", address.port):
        await asyncio.sleep(RETRY_SECONDS)
        trying = asyncio.create_task(pool.agent(address, waits=False))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            for _ in range(100):
                with pytest.raises(HostUnreachableError):
                    await pool.agent(address, waits=False)
        assert not trying.done()
        trying.cancel()
        await pool.forget(address.id)


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def test_a_changed_host_key_is_refused_until_it_is_accepted(
    pool: ProxyPool, own_sshd: SshServer, work_dir: Path
) -> None:
    host_id = uuid4()
    before = own_sshd.address(work_dir, host_id=host_id)
    await pool.agent(before)
    own_sshd.stop()
    own_sshd.new_host_key()
    own_sshd.start()
    await asyncio.sleep(0.1)
    with pytest.raises(HostKeyMismatchError):
        await pool.agent(before)
    await (await pool.agent(own_sshd.address(work_dir, host_id=host_id))).ready()


async def test_a_changed_address_closes_the_old_connection(
    pool: ProxyPool, sshd: SshServer, work_dir: Path
) -> None:
    address = sshd.address(work_dir)
    old = await pool.agent(address)
    new = await pool.agent(dataclasses.replace(address, work_dir=f"{work_dir}/b"))
    await new.ready()
    with pytest.raises(HostConnectionLostError):
        await old.ready()


async def test_a_forgotten_host_is_disconnected(pool: ProxyPool, sshd: SshServer, work_dir: Path) -> None:
    address = sshd.address(work_dir)
    agent = await pool.agent(address)
    await pool.forget(address.id)
    await pool.forget(uuid4())
    with pytest.raises(HostConnectionLostError):
        await agent.ready()


async def test_the_program_comes_back_when_the_work_directory_was_emptied(
    pool: ProxyPool, sshd: SshServer, work_dir: Path
) -> None:
    agent = await pool.agent(sshd.address(work_dir))
    empty(work_dir)
    await agent.ready()


async def test_a_work_directory_that_cannot_be_made_is_said_so(
    pool: ProxyPool, sshd: SshServer, work_dir: Path
) -> None:
    (work_dir / "file").touch()
    for path in (work_dir / "file" / "below", work_dir / ("long" * 10), Path("relative")):
        with pytest.raises(WorkDirUnusableError):
            await pool.agent(sshd.address(path))


async def test_a_host_without_python_is_said_so(pool: ProxyPool, work_dir: Path, tmp_path: Path) -> None:
    for name in ("sh", "bash"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    with ssh_server(path=str(tmp_path)) as server, pytest.raises(PythonMissingError):
        await pool.agent(server.address(work_dir))


async def test_closing_while_a_connection_is_made_leaves_none(own_sshd: SshServer, work_dir: Path) -> None:
    pool = ProxyPool(installation_id)
    waiting = asyncio.create_task(pool.agent(own_sshd.address(work_dir)))
    await asyncio.sleep(0.02)
    await pool.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_old_python_is_told_from_a_missing_one(
    pool: ProxyPool, work_dir: Path, tmp_path: Path
) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\nprintf \'{"code": "python_missing", "detail": "python3 is 3.6.8."}\'\n')
    old.chmod(0o755)
    path = f"{tmp_path}:{HOST_PATH}"
    with ssh_server(path=path) as server, pytest.raises(PythonMissingError, match=r"3\.6\.8"):
        await pool.agent(server.address(work_dir))
