"""Mounts on a host: read-only, seen by those who asked alone, gone with them whatever ends them."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.errors import MountFailedError, SourceNotAllowedError
from app.proxy.agent_client import HostAgent, JobState
from app.proxy.mounts import Mount
from tests.support.exports import Exports, left_in, mounted_below, sees_mount
from tests.support.hosts import agent_at, ended, marked_pids
from tests.support.waiting import until

NAS = Mount(kind="nfs", source="nas.example:/vms")


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    return Exports(tmp_path)


@pytest.fixture
def agent(work_dir: Path, exports: Exports) -> HostAgent:
    return agent_at(work_dir, path=exports.path)


async def test_an_export_is_read_and_nobody_else_sees_it(
    agent: HostAgent, work_dir: Path, exports: Exports
) -> None:
    (exports.export() / "a b.txt").write_bytes(b"hello")
    directory = NAS.directory(str(work_dir))
    read = await agent.mounting(NAS).read(f"{directory}/a b.txt", roots=[directory], limit_bytes=100)
    assert read == b"hello"
    assert mounted_below(work_dir) == []
    assert left_in(directory) == []
    (asked,) = exports.asked()
    assert asked.startswith(
        "-t nfs -o ro,nosuid,nodev,noexec,soft,timeo=100,retrans=3,retry=0 -- nas.example:/vms"
    )


async def test_the_version_of_the_protocol_may_be_named(
    agent: HostAgent, work_dir: Path, exports: Exports
) -> None:
    exports.export()
    mount = NAS.model_copy(update={"version": "4.1"})
    directory = mount.directory(str(work_dir))
    await agent.mounting(mount).look(directory, roots=[directory])
    assert ",vers=4.1 " in exports.asked()[0]


async def test_links_in_an_export_lead_nowhere_else(
    agent: HostAgent, work_dir: Path, exports: Exports
) -> None:
    export = exports.export()
    (export / "absolute").symlink_to("/etc/passwd")
    (export / "relative").symlink_to("../" * 20 + "etc/passwd")
    directory = NAS.directory(str(work_dir))
    for name in ("absolute", "relative"):
        with pytest.raises(SourceNotAllowedError):
            await agent.mounting(NAS).read(f"{directory}/{name}", roots=[directory], limit_bytes=10**6)


async def test_what_the_server_says_is_told(agent: HostAgent, work_dir: Path, exports: Exports) -> None:
    with pytest.raises(MountFailedError, match="access denied by server"):
        await agent.mounting(NAS).look("/", roots=["/"])


async def test_only_a_block_device_with_a_known_file_system_is_mounted(
    agent: HostAgent, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(bytes(4096))
    for device, told in (("/dev/null", "no block device"), (str(tmp_path / "file"), "no block device")):
        mount = Mount(kind="device", source=device)
        with pytest.raises(MountFailedError, match=told):
            await agent.mounting(mount).look("/", roots=["/"])


async def test_a_job_has_its_mount_and_takes_it_along(
    agent: HostAgent, work_dir: Path, exports: Exports
) -> None:
    (exports.export() / "disk").write_bytes(b"of the guest\n")
    attempt_id, path = uuid4(), f"{NAS.directory(str(work_dir))}/disk"
    await agent.create_attempt(attempt_id, 1)
    script = f"cat {path}; touch {path} 2>/dev/null || echo unwritable"
    argv = ["sh", "-c", script]
    await agent.launch(attempt_id, 1, argv, environment={}, secret_files=[], mounts=[NAS])
    status = await ended(agent, attempt_id)
    assert (status.state, status.exit_code) == (JobState.EXITED, 0)
    log = work_dir / "attempts" / str(attempt_id) / "job" / "log"
    assert log.read_text() == "of the guest\nunwritable\n"
    assert mounted_below(work_dir) == []


async def test_a_job_that_is_killed_leaves_no_mount(
    agent: HostAgent, work_dir: Path, exports: Exports
) -> None:
    export, attempt_id = exports.export(), uuid4()
    await agent.create_attempt(attempt_id, 1)
    argv = ["sh", "-c", f"cd {NAS.directory(str(work_dir))} && exec sleep 1000"]
    await agent.launch(attempt_id, 1, argv, environment={}, secret_files=[], mounts=[NAS])
    await until(lambda: any(sees_mount(pid, work_dir) for pid in marked_pids({str(attempt_id)})))
    for pid in marked_pids({str(attempt_id)}):
        os.kill(pid, signal.SIGKILL)
    await ended(agent, attempt_id)
    assert mounted_below(work_dir) == []
    await agent.remove_attempt(attempt_id, 2)
    await asyncio.to_thread(export.rmdir)


async def test_a_job_whose_mount_fails_says_so_as_virt_v2v_would(agent: HostAgent, work_dir: Path) -> None:
    attempt_id = uuid4()
    await agent.create_attempt(attempt_id, 1)
    argv = ["true", "--machine-readable=stream:stdout"]
    await agent.launch(attempt_id, 1, argv, environment={}, secret_files=[], mounts=[NAS])
    assert (await ended(agent, attempt_id)).exit_code == 1
    log = (work_dir / "attempts" / str(attempt_id) / "job" / "log").read_text()
    assert "virt-v2v: error: The source could not be mounted: 'nas.example:/vms'" in log


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """A real block device with a file system on it."""
    image, content = tmp_path / "disk.img", tmp_path / "content"
    content.mkdir()
    (content / "web.txt").write_text("on a device")
    subprocess.run(["truncate", "-s", "16M", str(image)], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(content), str(image)], check=True)
    found = subprocess.run(
        ["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True
    )
    yield found.stdout.strip()
    subprocess.run(["losetup", "-d", found.stdout.strip()], check=True)


@pytest.mark.real
@pytest.mark.long
async def test_a_device_is_read_and_not_written(local_agent: HostAgent, work_dir: Path, device: str) -> None:
    before = await asyncio.to_thread(Path(device).read_bytes)
    mount = Mount(kind="device", source=device)
    directory = mount.directory(str(work_dir))
    read = await local_agent.mounting(mount).read(f"{directory}/web.txt", roots=[directory], limit_bytes=100)
    assert read == b"on a device"
    assert mounted_below(work_dir) == []
    assert await asyncio.to_thread(Path(device).read_bytes) == before
