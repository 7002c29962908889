"""Disks are copied by qemu-img on the proxy host, and what is said of it is what virt-v2v would say."""

import asyncio
import json
import os
import signal
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.models.vm import SourceDisk
from app.proxy.agent_client import HostAgent
from app.v2v.copying import CopyOutput, CopyTarget
from app.v2v.failures import explain
from app.v2v.output import DiskPercent, DiskStarted, Said, Stage
from tests.support.copies import CopyJob, compared, looked_at
from tests.support.hosts import marked_pids
from tests.support.images import MIB, make_backed, make_image
from tests.support.volume import Volume
from tests.support.waiting import until

FORMATS = ("raw", "qcow2")
SIZE = 4 * MIB


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    directory = tmp_path / 'it\'s $(a) "source"'
    directory.mkdir()
    return directory


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "store"
    directory.mkdir()
    return directory


@pytest.fixture
def job(local_agent: HostAgent) -> CopyJob:
    return CopyJob(local_agent)


def filled(path: Path, format_name: str, *, size_bytes: int = SIZE, options: str = "") -> Path:
    """An image with something on it, and holes."""
    make_image(path, format_name, size_bytes=size_bytes, options=options)
    write(path, format_name, 0x5A, MIB, MIB)
    return path


def write(path: Path, format_name: str, byte: int, offset: int, length: int) -> None:
    argv = ["qemu-io", "-f", format_name, "-c", f"write -q -P {byte} {offset} {length}", str(path)]
    subprocess.run(argv, check=True)


def to(path: Path, format_name: str = "raw", *, preallocated: bool = False, made: bool = False) -> CopyTarget:
    return CopyTarget(str(path), format_name, SIZE, is_preallocated=preallocated, is_made=made)


def one(path: Path, format_name: str = "raw", *, preallocated: bool = False) -> CopyOutput:
    return CopyOutput((to(path, format_name, preallocated=preallocated),))


def leak(image: Path) -> None:
    """Let the image count one reference to a cluster too many, at its end."""
    with image.open("r+b") as file:
        file.seek(48)
        (table,) = struct.unpack(">Q", file.read(8))
        file.seek(table)
        (block,) = struct.unpack(">Q", file.read(8))
        cluster = image.stat().st_size // 65_536 + 1
        file.seek(block + 2 * cluster)
        file.write(b"\0\1")


def is_empty(directory: Path) -> bool:
    return list(directory.iterdir()) == []


def stands_alone(path: Path) -> bool:
    command = ["qemu-img", "info", "--output=json", str(path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return "backing-filename" not in found


def program_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def errors(job: CopyJob) -> list[str]:
    return [event.text for event in job.events() if isinstance(event, Said) and event.severity == "error"]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("raw", "qcow2"),
        ("qcow2", "raw"),
        ("vmdk", "raw"),
        ("vdi", "qcow2"),
        ("vhdx", "raw"),
    ],
)
async def test_a_guest_finds_the_same_on_the_copy(
    job: CopyJob, sources: Path, store: Path, source: str, target: str
) -> None:
    image = filled(sources / f"a b:c,d={source}", source)
    made = store / "x:y,driver=nbd"
    disk = await looked_at(job.agent, image)
    assert await job.run([disk], one(made, target), [sources]) == 0, job.log
    assert compared(image, source, made, target)


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("made", [False, True])
async def test_a_sparse_copy_has_holes_and_a_preallocated_one_has_not(
    local_agent: HostAgent, sources: Path, store: Path, target: str, made: bool
) -> None:
    disk = await looked_at(local_agent, filled(sources / "a", "qcow2"))
    for name, preallocated in (("sparse", False), ("whole", True)):
        path = store / name
        if made:
            options = "preallocation=falloc" if preallocated else ""
            make_image(path, target, size_bytes=SIZE, options=options)
        output = CopyOutput((to(path, target, preallocated=preallocated, made=made),))
        assert await CopyJob(local_agent).run([disk], output, [sources]) == 0
        assert compared(sources / "a", "qcow2", path, target)
    assert (store / "sparse").stat().st_blocks * 512 < 2 * MIB
    assert (store / "whole").stat().st_blocks * 512 >= SIZE


async def test_each_disk_has_its_stages_and_percents(
    local_agent: HostAgent, job: CopyJob, sources: Path, store: Path
) -> None:
    disks = [await looked_at(local_agent, filled(sources / name, "raw")) for name in ("a", "b")]
    output = CopyOutput((to(store / "a"), to(store / "b", "qcow2")), ((str(store / "vm.xml"), "<ä/>"),))
    assert await job.run(disks, output, [sources]) == 0
    events = job.events()
    assert [event.name for event in events if isinstance(event, Stage)] == [
        "opening_source",
        "checking_source",
        "copying",
        "copying",
        "creating_metadata",
        "finishing",
    ]
    assert [event for event in events if isinstance(event, DiskStarted)] == [
        DiskStarted(1, 2),
        DiskStarted(2, 2),
    ]
    assert {DiskPercent(1, 100.0), DiskPercent(2, 100.0)} <= set(events)
    assert (store / "vm.xml").read_text() == "<ä/>"


async def test_a_chain_becomes_one_image(
    local_agent: HostAgent, job: CopyJob, sources: Path, store: Path
) -> None:
    filled(sources / "base", "raw")
    leaf = make_backed(sources / "leaf", "base")
    write(leaf, "qcow2", 7, 0, 1000)
    disk = await looked_at(local_agent, leaf)
    assert [(image.path, image.format) for image in disk.chain] == [(str(sources / "base"), "raw")]
    assert await job.run([disk], one(store / "a", "qcow2"), [sources]) == 0
    assert compared(leaf, "qcow2", store / "a", "qcow2")
    assert stands_alone(store / "a")


async def test_a_raw_disk_stays_raw_whatever_a_guest_wrote_into_it(
    local_agent: HostAgent, job: CopyJob, sources: Path, store: Path
) -> None:
    """A probe would take it for a qcow2 that stands on another file."""
    make_backed(sources / "a", "/etc/passwd")
    disk = await looked_at(local_agent, sources / "a", "raw")
    assert await job.run([disk], one(store / "a"), [sources]) == 0
    assert compared(sources / "a", "raw", store / "a", "raw")


async def test_an_image_of_an_odd_size_is_copied_to_its_last_byte(
    local_agent: HostAgent, job: CopyJob, sources: Path, store: Path
) -> None:
    data = os.urandom(MIB + 100)
    (sources / "a").write_bytes(data)
    assert await job.run([await looked_at(local_agent, sources / "a")], one(store / "a"), [sources]) == 0
    assert (store / "a").read_bytes().startswith(data)


async def test_a_rehearsal_writes_nothing(
    local_agent: HostAgent, job: CopyJob, sources: Path, store: Path
) -> None:
    disk = await looked_at(local_agent, filled(sources / "a", "vmdk"))
    assert await job.run([disk], CopyOutput((CopyTarget(None, "raw", SIZE),)), [sources]) == 0
    assert DiskPercent(1, 100.0) in job.events()
    assert is_empty(store)


@pytest.fixture
def nbd(tmp_path: Path, sources: Path) -> Iterator[str]:
    """A disk that is served on a socket."""
    socket = tmp_path / "s k"
    image = filled(sources / "served", "qcow2")
    argv = ["qemu-nbd", "-r", "-t", "-f", "qcow2", "-x", "ex/port", "-k", str(socket), str(image)]
    server = subprocess.Popen(argv)
    yield f"nbd+unix:///ex/port?socket={socket}"
    server.terminate()
    server.wait()


async def test_a_disk_may_come_over_nbd(
    job: CopyJob, sources: Path, store: Path, nbd: str, tmp_path: Path
) -> None:
    await until((tmp_path / "s k").exists)
    disk = SourceDisk(id="vda", label="vda", capacity_bytes=SIZE, format="raw", path=nbd)
    assert await job.run([disk], one(store / "a", "qcow2"), [sources]) == 0, job.log
    assert compared(sources / "served", "qcow2", store / "a", "qcow2")


async def test_a_disk_that_is_gone_ends_it_before_anything_is_copied(
    local_agent: HostAgent, job: CopyJob, sources: Path, store: Path
) -> None:
    disks = [await looked_at(local_agent, filled(sources / name, "raw")) for name in ("a", "b")]
    output = CopyOutput((to(store / "a"), to(store / "b")))
    assert await job.run(disks, output, [sources], before=(sources / "b").unlink) == 1
    assert explain(errors(job), 1).code == "source_vanished"
    assert is_empty(store)


@pytest.mark.parametrize("backing", ["/etc/passwd", "other"])
async def test_a_disk_that_has_become_another_is_not_opened(
    local_agent: HostAgent, job: CopyJob, sources: Path, store: Path, backing: str
) -> None:
    filled(sources / "other", "raw")
    disk = await looked_at(local_agent, filled(sources / "a", "qcow2"))

    def change() -> None:
        make_backed(sources / "a", backing)

    assert await job.run([disk], one(store / "a"), [sources], before=change) == 1
    assert explain(errors(job), 1).code == "source_changed"
    assert is_empty(store)


async def test_what_lies_outside_the_roots_is_not_opened(
    local_agent: HostAgent, job: CopyJob, sources: Path, store: Path
) -> None:
    disk = await looked_at(local_agent, filled(sources / "a", "raw"))
    assert await job.run([disk], one(store / "a"), [store]) == 1
    assert "source roots" in job.log
    assert is_empty(store)


async def test_a_damaged_image_is_told_in_qemus_own_words(
    local_agent: HostAgent, job: CopyJob, sources: Path, store: Path
) -> None:
    disk = await looked_at(local_agent, filled(sources / "a", "qcow2"))

    def damage() -> None:
        with (sources / "a").open("r+b") as file:
            file.seek(40)
            file.write(b"\xff" * 8)

    assert await job.run([disk], one(store / "a"), [sources], before=damage) == 1
    [said] = errors(job)
    assert "qemu-img: Could not open" in said
    assert explain([said], 1).code == "disk_image_unreadable"


@pytest.mark.parametrize("format_name", ["qcow2", "vmdk"])
async def test_an_image_that_was_cut_off_is_not_filled_up_with_zeros(
    job: CopyJob, sources: Path, store: Path, format_name: str
) -> None:
    disk = await looked_at(job.agent, filled(sources / "a", format_name))

    def cut() -> None:
        os.truncate(sources / "a", (sources / "a").stat().st_size - MIB // 2)

    assert await job.run([disk], one(store / "a"), [sources], before=cut) == 1
    assert explain(errors(job), 1).code == "disk_image_unreadable"
    assert is_empty(store)


async def test_what_lies_below_must_be_whole_too(job: CopyJob, sources: Path, store: Path) -> None:
    base = filled(sources / "base", "qcow2")
    write(make_backed(sources / "leaf", "base", "qcow2"), "qcow2", 7, 0, 1000)
    disk = await looked_at(job.agent, sources / "leaf")

    def cut() -> None:
        os.truncate(base, base.stat().st_size - MIB // 2)

    assert await job.run([disk], one(store / "a"), [sources], before=cut) == 1
    assert explain(errors(job), 1).code == "disk_image_unreadable"


async def test_an_image_that_only_wastes_room_is_copied(job: CopyJob, sources: Path, store: Path) -> None:
    leaking = filled(sources / "a", "qcow2")
    leak(leaking)
    disk = await looked_at(job.agent, leaking)
    assert await job.run([disk], one(store / "a"), [sources]) == 0, job.log


async def test_a_full_disk_is_told(job: CopyJob, sources: Path, tmp_path: Path) -> None:
    disk = await looked_at(job.agent, filled(sources / "a", "raw"))
    volume = Volume(tmp_path / "small", size_bytes=MIB // 2)
    volume.mount()
    try:
        assert await job.run([disk], one(tmp_path / "small" / "a"), [sources]) == 1
    finally:
        volume.unmount()
    assert explain(errors(job), 1).code == "host_no_space"


class TestStopping:
    """A copy whose source gives no bytes: a server on the socket that never answers."""

    @pytest.fixture
    async def hanging(self, tmp_path: Path, job: CopyJob, store: Path) -> AsyncIterator[CopyJob]:
        connected, over = asyncio.Event(), asyncio.Event()

        async def never_answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            await over.wait()
            writer.close()

        server = await asyncio.start_unix_server(never_answer, str(tmp_path / "nbd"))
        path = f"nbd+unix:///?socket={tmp_path / 'nbd'}"
        disk = SourceDisk(id="vda", label="vda", capacity_bytes=SIZE, format="raw", path=path)
        await job.start([disk], one(store / "a"), [tmp_path])
        await asyncio.wait_for(connected.wait(), 30)
        server.close()
        yield job
        over.set()

    async def test_a_cancel_ends_all_of_it(self, hanging: CopyJob) -> None:
        assert len(marked_pids([str(hanging.id)])) > 1
        await hanging.agent.stop(hanging.id, 1, grace_seconds=10)
        assert marked_pids([str(hanging.id)]) == []
        assert all("Exiting on signal SIGTERM" in text for text in errors(hanging))
        assert await hanging.end() == 1

    async def test_a_qemu_img_that_was_killed_is_a_failure(self, hanging: CopyJob) -> None:
        [copier] = [pid for pid in marked_pids([str(hanging.id)]) if program_of(pid) == "qemu-img"]
        os.kill(copier, signal.SIGKILL)
        assert await hanging.end() == 1
        assert errors(hanging) == ["Copying disk 1: qemu-img: Exiting on signal SIGKILL"]
        assert explain(errors(hanging), 1).code == "conversion_killed"
