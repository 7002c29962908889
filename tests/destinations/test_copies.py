"""Copies into each kind of storage domain, by the real agent and qemu-img, are what virt-v2v would leave."""

import dataclasses
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.destinations import DESTINATIONS
from app.destinations.base import Destination, Made, Target, TargetDisk
from app.destinations.directory import Directory
from app.destinations.null import Null
from app.destinations.ovirt_data import OvirtData
from app.formats.domain_xml import read_domain_xml
from app.formats.ovirt_ovf import read_ovirt_ovf
from app.models.common import Shape
from app.models.imports import Allocation, DiskFormat
from app.models.vm import Firmware, SourceDisk, SourceNic, VmConfig
from app.proxy.agent_client import HostAgent
from tests.support.copies import CopyJob, compared, looked_at
from tests.support.images import make_image
from tests.support.ovirt import DOMAIN_ID, make_domain
from tests.support.requests import target

CONFIG = VmConfig(
    id="web",
    name="web <1> & 'co' \u0001",
    cpu_count=4,
    memory_bytes=3 * 2**30,
    firmware=Firmware.UEFI,
    os="http://debian.org/debian/12",
    description="line 1\nline 2",
    nics=(
        SourceNic(id="nic-1", mac="52:54:00:00:00:09", network="lan & wan", model="e1000"),
        SourceNic(id="nic-2", mac=None, network=None),
    ),
)
READERS = {"directory": read_domain_xml, "ovirt_data": read_ovirt_ovf}


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "store").mkdir()
    return {"directory": tmp_path / "store", "ovirt_data": make_domain(tmp_path)}


@pytest.fixture
async def disks(local_agent: HostAgent, tmp_path: Path) -> tuple[SourceDisk, ...]:
    """A qcow2 on VirtIO, a raw one of an odd size on SCSI, and one whose bus isn't known."""
    found = []
    for number, (format_name, bus) in enumerate((("qcow2", "virtio"), ("raw", "scsi"), ("qcow2", None))):
        path = make_image(tmp_path / f"disk {number}", format_name)
        write(path, format_name, number + 1)
        if format_name == "raw":
            with path.open("ab") as file:
                file.write(b"x" * 100)
        disk = await looked_at(local_agent, path)
        found.append(disk.model_copy(update={"bus": bus}))
    return tuple(found)


def write(path: Path, format_name: str, byte: int) -> None:
    subprocess.run(["qemu-io", "-f", format_name, "-c", f"write -q -P {byte} 1M 1M", str(path)], check=True)


class Copied:
    """A VM that was copied, and what `collect` made of it."""

    def __init__(self, job: CopyJob, destination: Destination[Any], settings: Shape) -> None:
        self.job, self.destination, self.settings = job, destination, settings

    async def run(self, disks: tuple[SourceDisk, ...]) -> Made:
        place = await self.job.agent.create_attempt(self.job.id, 1)
        wanted = self._target(place.directory, disks)
        await self.destination.prepare(self.settings, wanted, self.job.agent)
        config = CONFIG.model_copy(update={"disks": disks})
        output = self.destination.copy(self.settings, wanted, config)
        roots = {Path(disk.path or "").parent for disk in disks}
        assert await self.job.run(disks, output, [*roots]) == 0, self.job.log
        made = await self.destination.collect(self.settings, wanted, self.job.agent)
        return await self.destination.finish(self.settings, wanted, made, config, self.job.agent)

    def _target(self, directory: str, disks: tuple[SourceDisk, ...]) -> Target:
        """Each disk in another form."""
        ways = [(form, way) for form in DiskFormat for way in Allocation]
        own = tuple(
            TargetDisk(uuid4(), number, disk.capacity_bytes or 0, *way)
            for number, (disk, way) in enumerate(zip(disks, ways, strict=False), start=1)
        )
        return dataclasses.replace(target(directory), attempt_id=self.job.id, disks=own)


def copied(agent: HostAgent, kind: str, roots: dict[str, Path]) -> Copied:
    [destination] = [one for one in DESTINATIONS if one.kind == kind]
    settings = destination.Settings(**({"path": str(roots[kind])} if kind in roots else {}))
    return Copied(CopyJob(agent), destination, settings)


@pytest.mark.parametrize("kind", [Directory.kind, OvirtData.kind])
async def test_a_copy_passes_for_what_virt_v2v_made(
    local_agent: HostAgent, roots: dict[str, Path], disks: tuple[SourceDisk, ...], kind: str
) -> None:
    made = await copied(local_agent, kind, roots).run(disks)
    for disk, source in zip(made.disks, disks, strict=True):
        assert compared(Path(source.path or ""), source.format or "", Path(disk.path or ""), disk.format)
    assert [disk.bus for disk in made.disks] == ["virtio", "scsi", "virtio"]
    found = READERS[kind]((made.metadata_text or "").encode())
    assert (found.name, found.cpu_count, found.memory_bytes) == ("web <1> & 'co' _", 4, 3 * 2**30)
    assert (found.firmware, found.description) == (Firmware.UEFI, "line 1\nline 2")
    first, second = found.nics
    assert (first.mac, first.network, first.model) == ("52:54:00:00:00:09", "lan & wan", "e1000")
    assert second.mac is None


async def test_a_rehearsal_of_a_copy_leaves_nothing(
    local_agent: HostAgent, roots: dict[str, Path], disks: tuple[SourceDisk, ...]
) -> None:
    made = await copied(local_agent, Null.kind, roots).run(disks)
    assert [disk.path for disk in made.disks] == [None] * 3


async def test_vdsm_finds_its_volumes_described(
    local_agent: HostAgent, roots: dict[str, Path], disks: tuple[SourceDisk, ...]
) -> None:
    made = await copied(local_agent, OvirtData.kind, roots).run(disks)
    facts = [meta_of(Path(disk.path or "")) for disk in made.disks]
    assert [(found["FORMAT"], found["TYPE"]) for found in facts] == [
        ("RAW", "SPARSE"),
        ("RAW", "PREALLOCATED"),
        ("COW", "SPARSE"),
    ]
    for found, disk in zip(facts, made.disks, strict=True):
        assert found["DOMAIN"] == DOMAIN_ID
        assert found["IMAGE"] == Path(disk.path or "").parent.name
        assert int(found["SIZE"]) * 512 == disk.capacity_bytes


def meta_of(volume: Path) -> dict[str, str]:
    lines = volume.with_name(f"{volume.name}.meta").read_text().splitlines()
    assert lines[-1] == "EOF"
    return dict(line.split("=", 1) for line in lines[:-1])
