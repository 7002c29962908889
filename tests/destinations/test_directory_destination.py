"""A directory as a destination, worked on by the real agent; virt-v2v's part is played by qemu-img."""

from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest

from app.destinations import marked
from app.destinations.base import Made, Target
from app.destinations.directory import Directory, DirectorySettings
from app.errors import DomainUnusableError, OutputInvalidError
from app.models.imports import Allocation, DiskFormat
from app.models.vm import SourceNic, VmConfig
from app.proxy.agent_client import HostAgent
from tests.support.images import MIB, make_backed, make_image
from tests.support.requests import request, target

DOMAIN = """<domain type='kvm'><name>web_1</name><memory unit='KiB'>2097152</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os><devices>{disks}
<interface type='network'><source network='default'/><model type='virtio'/></interface></devices></domain>"""
DISK = """<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{path}'/>
<target dev='vd{letter}' bus='virtio'/></disk>"""
WANTED = VmConfig(
    id="web",
    name="web <1> & 'co'",
    cpu_count=4,
    memory_bytes=3 * 2**30,
    description="line 1\nline 2",
    nics=(SourceNic(id="nic-1", mac="52:54:00:00:00:09", network="lan"),),
)


@pytest.fixture
def settings(tmp_path: Path) -> DirectorySettings:
    return DirectorySettings(path=str(tmp_path))


def place(settings: DirectorySettings, wanted: Target) -> Path:
    (directory,) = Directory().plan(settings, wanted)[marked.DIRECTORIES]
    return Path(directory)


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def convert(directory: Path, wanted: Target, *, sizes: list[int] | None = None) -> None:
    """Write what virt-v2v would."""
    written = []
    for index, disk in enumerate(wanted.disks):
        letter = "abcdefghijklmnopqrstuvwxyz"[index]
        path = directory / f"{wanted.file_name}-sd{letter}"
        make_image(path, disk.format, size_bytes=(sizes or [disk.capacity_bytes] * 9)[index])
        written.append(DISK.format(path=path, letter=letter, format=disk.format))
    (directory / f"{wanted.file_name}.xml").write_text(DOMAIN.format(disks="".join(written)))


async def prepared(
    settings: DirectorySettings, agent: HostAgent, wanted: Target, sizes: list[int] | None = None
) -> Path:
    await Directory().prepare(settings, wanted, agent)
    directory = place(settings, wanted)
    convert(directory, wanted, sizes=sizes)
    return directory


async def test_the_check_writes_and_leaves_nothing(
    settings: DirectorySettings, local_agent: HostAgent, tmp_path: Path
) -> None:
    found = await Directory().check(settings, local_agent, uuid4())
    assert found.usable
    assert 0 < (found.free_bytes or 0) <= (found.total_bytes or 0)
    assert names_in(tmp_path) == []


async def test_a_directory_that_is_not_there_is_an_answer(local_agent: HostAgent, tmp_path: Path) -> None:
    settings = DirectorySettings(path=str(tmp_path / "none"))
    found = await Directory().check(settings, local_agent, uuid4())
    assert not found.usable
    assert found.problem is not None
    assert found.problem.code == DomainUnusableError.code


async def test_no_two_attempts_share_a_directory(settings: DirectorySettings) -> None:
    assert place(settings, target()) != place(settings, target())


async def test_preparing_twice_is_fine(settings: DirectorySettings, local_agent: HostAgent) -> None:
    wanted = target()
    for _ in range(2):
        await Directory().prepare(settings, wanted, local_agent)
    assert place(settings, wanted).is_dir()


async def test_a_directory_of_somebody_else_is_not_taken(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target()
    place(settings, wanted).mkdir()
    with pytest.raises(DomainUnusableError):
        await Directory().prepare(settings, wanted, local_agent)


def test_virt_v2v_is_told_where_and_how(settings: DirectorySettings) -> None:
    wanted = target(format_name=DiskFormat.QCOW2, allocation=Allocation.PREALLOCATED)
    assert Directory().output(settings, wanted).argv == (
        *("-o", "local", "-os", str(place(settings, wanted))),
        *("-of", "qcow2", "-oa", "preallocated", "-on", "web_1"),
    )


@pytest.mark.parametrize("format_name", list(DiskFormat))
async def test_what_was_made_is_read_back(
    settings: DirectorySettings, local_agent: HostAgent, format_name: DiskFormat
) -> None:
    wanted = target(capacities=[4 * MIB, 8 * MIB], format_name=format_name)
    directory = await prepared(settings, local_agent, wanted)
    made = await Directory().collect(settings, wanted, local_agent)
    assert [(disk.number, disk.capacity_bytes, disk.format, disk.bus) for disk in made.disks] == [
        (1, 4 * MIB, format_name, "virtio"),
        (2, 8 * MIB, format_name, "virtio"),
    ]
    assert made.disks[0].path == str(directory / "web_1-sda")
    assert made.metadata_text == (directory / "web_1.xml").read_text()


async def test_an_odd_size_is_rounded_up_to_a_sector(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target(capacities=[4 * MIB - 100])
    await prepared(settings, local_agent, wanted, [4 * MIB])
    made = await Directory().collect(settings, wanted, local_agent)
    assert made.disks[0].capacity_bytes == 4 * MIB


@pytest.mark.parametrize("size", [4 * MIB - 512, 4 * MIB + 512, 512])
async def test_a_disk_of_another_size_is_no_success(
    settings: DirectorySettings, local_agent: HostAgent, size: int
) -> None:
    wanted = target()
    await prepared(settings, local_agent, wanted, [size])
    with pytest.raises(OutputInvalidError, match=str(size)):
        await Directory().collect(settings, wanted, local_agent)


@pytest.mark.parametrize("name", ["web_1-sdb", "web_1.xml"])
async def test_a_missing_file_is_no_success(
    settings: DirectorySettings, local_agent: HostAgent, name: str
) -> None:
    wanted = target(capacities=[4 * MIB, 4 * MIB])
    (await prepared(settings, local_agent, wanted) / name).unlink()
    with pytest.raises(OutputInvalidError, match=name):
        await Directory().collect(settings, wanted, local_agent)


OTHER_DISK = DISK.format(path="/srv/other.img", letter="a", format="raw")


@pytest.mark.parametrize(
    "text",
    ["", "<domain", DOMAIN.format(disks="")[:200], DOMAIN.format(disks=""), DOMAIN.format(disks=OTHER_DISK)],
)
async def test_metadata_that_does_not_fit_is_no_success(
    settings: DirectorySettings, local_agent: HostAgent, text: str
) -> None:
    wanted = target()
    (await prepared(settings, local_agent, wanted) / "web_1.xml").write_text(text)
    with pytest.raises(OutputInvalidError):
        await Directory().collect(settings, wanted, local_agent)


async def test_a_disk_that_is_no_image_is_no_success(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target(format_name=DiskFormat.QCOW2)
    (await prepared(settings, local_agent, wanted) / "web_1-sda").write_bytes(bytes(MIB))
    with pytest.raises(OutputInvalidError):
        await Directory().collect(settings, wanted, local_agent)


async def test_metadata_that_names_one_disk_twice_is_no_success(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target(capacities=[4 * MIB, 4 * MIB])
    metadata = await prepared(settings, local_agent, wanted) / "web_1.xml"
    metadata.write_text(metadata.read_text().replace("web_1-sdb", "web_1-sda"))
    with pytest.raises(OutputInvalidError, match="disk 2"):
        await Directory().collect(settings, wanted, local_agent)


async def test_metadata_that_calls_a_disk_another_format_is_no_success(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target()
    metadata = await prepared(settings, local_agent, wanted) / "web_1.xml"
    metadata.write_text(metadata.read_text().replace("type='raw'", "type='qcow2'"))
    with pytest.raises(OutputInvalidError, match="'qcow2'"):
        await Directory().collect(settings, wanted, local_agent)


async def test_the_disks_are_those_of_the_metadata_in_whatever_order(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target(capacities=[4 * MIB, 8 * MIB])
    directory = await prepared(settings, local_agent, wanted)
    disks = [
        DISK.format(path=directory / f"web_1-sd{letter}", letter=letter, format="raw").replace("virtio", bus)
        for letter, bus in (("b", "ide"), ("a", "virtio"))
    ]
    (directory / "web_1.xml").write_text(DOMAIN.format(disks="".join(disks)))
    made = await Directory().collect(settings, wanted, local_agent)
    assert [(disk.capacity_bytes, disk.bus) for disk in made.disks] == [
        (4 * MIB, "virtio"),
        (8 * MIB, "ide"),
    ]


@pytest.mark.parametrize("kind", ["backing file", "data file"])
async def test_a_disk_that_needs_another_file_is_no_success(
    settings: DirectorySettings, local_agent: HostAgent, kind: str
) -> None:
    wanted = target(format_name=DiskFormat.QCOW2)
    directory = await prepared(settings, local_agent, wanted)
    disk = directory / "web_1-sda"
    if kind == "backing file":
        make_backed(disk, "/etc/hostname")
    else:
        make_image(disk, "qcow2", options=f"data_file={directory}/web_1.data")
    with pytest.raises(OutputInvalidError, match="another file"):
        await Directory().collect(settings, wanted, local_agent)


@pytest.mark.parametrize(("asked", "made"), [("raw", "qcow2"), ("qcow2", "raw")])
async def test_a_disk_of_another_format_is_no_success(
    settings: DirectorySettings, local_agent: HostAgent, asked: str, made: str
) -> None:
    wanted = target(format_name=DiskFormat(asked))
    directory = await prepared(settings, local_agent, wanted)
    make_image(directory / "web_1-sda", made, size_bytes=4 * MIB)
    with pytest.raises(OutputInvalidError, match="qcow2"):
        await Directory().collect(settings, wanted, local_agent)


async def test_an_empty_directory_is_no_success(settings: DirectorySettings, local_agent: HostAgent) -> None:
    wanted = target()
    await Directory().prepare(settings, wanted, local_agent)
    with pytest.raises(OutputInvalidError, match="Disk 1"):
        await Directory().collect(settings, wanted, local_agent)


async def test_a_disk_too_many_is_no_success_and_any_other_file_is_the_vms(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target()
    directory = await prepared(settings, local_agent, wanted)
    (directory / "web_1-nvram.fd").write_bytes(b"")
    await Directory().collect(settings, wanted, local_agent)
    (directory / "web_1-sdb").write_bytes(bytes(MIB))
    with pytest.raises(OutputInvalidError, match="web_1-sdb"):
        await Directory().collect(settings, wanted, local_agent)


async def finished(settings: DirectorySettings, agent: HostAgent, wanted: Target) -> Made:
    made = await Directory().collect(settings, wanted, agent)
    return await Directory().finish(settings, wanted, made, WANTED, agent)


async def test_the_metadata_gets_the_vms_true_identity(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target()
    directory = await prepared(settings, local_agent, wanted)
    made = await finished(settings, local_agent, wanted)
    text = (directory / "web_1.xml").read_text()
    domain = ET.fromstring(text)  # noqa: S314  # our own
    assert domain.findtext("name") == "web <1> & 'co'"
    assert domain.findtext("vcpu") == "4"
    assert domain.findtext("description") == "line 1\nline 2"
    assert [source.attrib for source in domain.findall("devices/interface/source")] == [{"network": "lan"}]
    assert made.metadata_text == text
    assert made.config is not None
    assert (made.config.name, made.config.memory_bytes) == (WANTED.name, WANTED.memory_bytes)


async def test_what_xml_can_not_say_leaves_the_metadata_readable(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target()
    await prepared(settings, local_agent, wanted)
    made = await Directory().collect(settings, wanted, local_agent)
    config = WANTED.model_copy(update={"description": "bell \x07 & \ufffe"})
    finished = await Directory().finish(settings, wanted, made, config, local_agent)
    domain = ET.fromstring(finished.metadata_text or "")  # noqa: S314  # our own
    assert domain.findtext("description") == "bell _ & _"


async def test_metadata_that_is_no_text_is_no_success(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target()
    (await prepared(settings, local_agent, wanted) / "web_1.xml").write_bytes(b"\xff\xfe<domain/>")
    with pytest.raises(OutputInvalidError, match="UTF-8"):
        await Directory().collect(settings, wanted, local_agent)


async def test_finishing_twice_changes_nothing(settings: DirectorySettings, local_agent: HostAgent) -> None:
    wanted = target()
    await prepared(settings, local_agent, wanted)
    made = await finished(settings, local_agent, wanted)
    assert await Directory().finish(settings, wanted, made, WANTED, local_agent) == made


async def test_a_released_directory_carries_no_marker_and_is_not_removed(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target()
    directory = await prepared(settings, local_agent, wanted)
    plan = Directory().plan(settings, wanted)
    for _ in range(2):
        await Directory().release(plan, local_agent, wanted.attempt_id, 1)
    assert names_in(directory) == ["web_1-sda", "web_1.xml"]
    with pytest.raises(DomainUnusableError):
        await Directory().remove(plan, local_agent, wanted.attempt_id, 1)


async def test_what_was_released_can_be_reclaimed_and_removed(
    settings: DirectorySettings, local_agent: HostAgent, tmp_path: Path
) -> None:
    wanted = target()
    await prepared(settings, local_agent, wanted)
    plan = (await Directory().collect(settings, wanted, local_agent)).keep
    await Directory().release(plan, local_agent, wanted.attempt_id, 1)
    for _ in range(2):
        await Directory().reclaim(plan, local_agent, wanted.attempt_id, 1)
    for _ in range(2):
        await Directory().remove(plan, local_agent, wanted.attempt_id, 1)
    assert names_in(tmp_path) == []


async def test_removing_what_was_never_made_is_fine(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target()
    await Directory().remove(Directory().plan(settings, wanted), local_agent, wanted.attempt_id, 1)


@pytest.mark.parametrize(
    ("disk", "member"),
    [
        ({"format": "qcow2"}, "format"),
        ({"allocation": "preallocated"}, "allocation"),
        ({"bus": "scsi"}, "bus"),
        ({"storage_domain_id": str(uuid4())}, "storage_domain_id"),
    ],
)
def test_what_differs_by_disk_is_unsupported(disk: dict[str, str], member: str) -> None:
    wanted = request(disks=[{"source_disk_id": "a"}, {"source_disk_id": "b", **disk}])
    assert [pointer for pointer, _ in Directory().unsupported(wanted)] == [f"/disks/1/{member}"]


def test_what_is_copied_is_copied_disk_by_disk() -> None:
    own = {"format": "qcow2", "allocation": "preallocated", "bus": "scsi"}
    asked = [{"source_disk_id": "a", **own}, {"source_disk_id": "b", "bus": "floppy"}]
    wanted = request(disks=asked, conversion={"mode": "copy"})
    assert [pointer for pointer, _ in Directory().unsupported(wanted)] == ["/disks/1/bus"]


def test_what_is_the_same_by_disk_is_supported() -> None:
    wanted = request(
        disk_defaults={"format": "qcow2"},
        disks=[{"source_disk_id": "a", "format": "qcow2", "allocation": "sparse"}],
    )
    assert Directory().unsupported(wanted) == []


async def test_the_disks_are_named_as_virt_v2v_names_them(
    settings: DirectorySettings, local_agent: HostAgent
) -> None:
    wanted = target(capacities=[MIB] * 28)
    await Directory().prepare(settings, wanted, local_agent)
    with pytest.raises(OutputInvalidError, match="web_1-sda"):
        await Directory().collect(settings, wanted, local_agent)
