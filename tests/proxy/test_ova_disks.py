"""The disks of an OVA are made ready where virt-v2v runs, just before it."""

import gzip
import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.proxy.agent_client import HostAgent, JobState
from tests.support.hosts import ended
from tests.support.ovas import filled_vmdk, pack, unpack

MIB = 2**20
ONE, TWO = os.urandom(MIB), os.urandom(2 * MIB)
"""What is on the disks."""
Packer = Callable[[Path, Mapping[str, bytes]], Path]


def tar(directory: Path, files: Mapping[str, bytes]) -> Path:
    return pack(directory / "it's $(a) web.ova", files)


def compressed(directory: Path, files: Mapping[str, bytes]) -> Path:
    return pack(directory / "web.ova", files, compressed=True)


def folder(directory: Path, files: Mapping[str, bytes]) -> Path:
    return unpack(directory / "web", files)


every_packer = pytest.mark.parametrize("packer", [tar, compressed, folder])


class Job:
    """An attempt whose virt-v2v only says that it ran."""

    def __init__(self, agent: HostAgent) -> None:
        self.agent, self.id = agent, uuid4()
        self.directory = Path()
        self.log = ""

    async def run(
        self, path: Path, *disks: dict[str, Any], roots: list[str] | None = None, argument: str = "x"
    ) -> int:
        self.directory = Path((await self.agent.create_attempt(self.id, 1)).directory)
        await self.agent.launch(
            self.id,
            1,
            ["sh", "-c", "echo virt-v2v ran", argument],
            environment={},
            secret_files=[],
            preparation={"path": str(path), "roots": roots or [str(path.parent)], "disks": disks},
        )
        status = await ended(self.agent, self.id)
        self.log = (self.directory / "job" / "log").read_text()
        assert (status.state, status.exit_code is None) == (JobState.EXITED, False)
        return status.exit_code or 0

    def content(self, image: str) -> bytes:
        """What is on the disk, as qemu reads it."""
        raw = self.directory / "raw"
        options = ["-f", "qcow2", "-O", "raw"]
        subprocess.run(["qemu-img", "convert", *options, str(self.directory / image), str(raw)], check=True)
        return raw.read_bytes()


@pytest.fixture
def job(local_agent: HostAgent) -> Job:
    return Job(local_agent)


def order(path: Path, name: str, data: bytes, **other: Any) -> dict[str, Any]:
    """What the service asks for, with the right checksum unless another is given."""
    return {
        "file": str(path / name) if path.is_dir() else name,
        "format": "vmdk",
        "checksum": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "compression": None,
        "limit_bytes": len(data),
        "image": f"{Path(name).name}.qcow2",
        **other,
    }


@every_packer
async def test_what_virt_v2v_is_given_is_what_the_disks_hold(
    job: Job, tmp_path: Path, packer: Packer
) -> None:
    one, two = filled_vmdk(tmp_path, ONE), filled_vmdk(tmp_path, TWO)
    path = packer(tmp_path, {"web.ovf": b"<x/>", "d/it's 1": one, "other": b"no disk", "two": two})
    assert await job.run(path, order(path, "two", two), order(path, "d/it's 1", one)) == 0
    if packer is not folder:
        assert (job.content("two.qcow2"), job.content("it's 1.qcow2")) == (TWO, ONE)
    assert job.log.splitlines()[-1] == "virt-v2v ran"


async def test_a_plain_tar_is_not_unpacked(job: Job, tmp_path: Path) -> None:
    data = filled_vmdk(tmp_path, TWO)
    path = tar(tmp_path, {"a": data})
    assert await job.run(path, order(path, "a", data, checksum=None)) == 0
    assert job.content("a.qcow2") == TWO
    assert (job.directory / "a.qcow2").stat().st_size < MIB
    assert job.log == "virt-v2v ran\n"


@every_packer
async def test_a_compressed_disk_is_unpacked(job: Job, tmp_path: Path, packer: Packer) -> None:
    plain = filled_vmdk(tmp_path, ONE)
    data = gzip.compress(plain)
    path = packer(tmp_path, {"a.gz": data})
    assert await job.run(path, order(path, "a.gz", data, compression="gzip", limit_bytes=len(plain))) == 0
    assert job.content("a.gz.qcow2") == ONE


@every_packer
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
async def test_another_checksum_ends_it_before_virt_v2v_starts(
    job: Job, tmp_path: Path, packer: Packer, algorithm: str
) -> None:
    data = filled_vmdk(tmp_path, ONE)
    path = packer(tmp_path, {"a": data})
    wrong = f"{algorithm}:{hashlib.new(algorithm, b'other').hexdigest()}"
    assert await job.run(path, order(path, "a", data, checksum=wrong)) == 1
    assert "virt-v2v: error: -i ova: corrupt OVA: checksum of disk" in job.log
    assert "virt-v2v ran" not in job.log


@every_packer
async def test_a_bomb_is_stopped_at_its_limit(job: Job, tmp_path: Path, packer: Packer) -> None:
    data = gzip.compress(filled_vmdk(tmp_path, ONE) + bytes(64 * MIB))
    path = packer(tmp_path, {"a.gz": data})
    disk = order(path, "a.gz", data, compression="gzip", checksum=None, limit_bytes=2 * MIB)
    assert await job.run(path, disk) == 1
    assert "unpacks to more than 2097152 bytes" in job.log
    assert max(file.stat().st_size for file in job.directory.iterdir()) <= 2 * MIB


@every_packer
async def test_a_compressed_disk_that_is_cut_off_is_told(job: Job, tmp_path: Path, packer: Packer) -> None:
    data = gzip.compress(filled_vmdk(tmp_path, ONE))[:-100_000]
    path = packer(tmp_path, {"a.gz": data})
    disk = order(path, "a.gz", data, compression="gzip", limit_bytes=4 * MIB)
    assert await job.run(path, disk) == 1
    assert "can't be unpacked" in job.log


@every_packer
async def test_what_is_no_longer_there_is_told(job: Job, tmp_path: Path, packer: Packer) -> None:
    path = packer(tmp_path, {"b": b"x"})
    assert await job.run(path, order(path, "a", b"")) == 1
    assert "virt-v2v: error: -i ova: " in job.log
    assert "Traceback" not in job.log


@pytest.mark.parametrize("packer", [tar, compressed])
async def test_a_disk_that_has_become_another_is_refused(job: Job, tmp_path: Path, packer: Packer) -> None:
    text = b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n'
    path = packer(tmp_path, {"a": text})
    assert await job.run(path, order(path, "a", text)) == 1
    assert "/etc/passwd" in job.log
    assert not (job.directory / "a.qcow2").exists()


async def test_what_lies_outside_the_roots_is_not_opened(job: Job, tmp_path: Path) -> None:
    data = filled_vmdk(tmp_path, ONE)
    path = tar(tmp_path, {"a": data})
    assert await job.run(path, order(path, "a", data), roots=[str(tmp_path / "other")]) == 1
    assert "source roots" in job.log


async def test_stages_and_errors_are_told_as_virt_v2v_tells_them(job: Job, tmp_path: Path) -> None:
    data = filled_vmdk(tmp_path, ONE)
    path = tar(tmp_path, {"new\nline": data})
    disk = order(path, "new\nline", data, checksum="sha1:00")
    assert await job.run(path, disk, argument="--machine-readable=stream:stdout") == 1
    told = [json.loads(line) for line in job.log.splitlines() if line.startswith("{")]
    assert [line["type"] for line in told] == ["message", "error"]
    assert told[0]["message"] == r"Checking the checksum of 'new\nline'"
    assert len(job.log.splitlines()) == 4
