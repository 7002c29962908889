"""An oVirt data domain as a destination, worked on by the real agent; virt-v2v's part is played here."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.destinations.ovirt_data import OvirtData, OvirtDataSettings
from app.errors import DomainUnusableError, OutputInvalidError
from app.models.imports import Allocation, DiskFormat
from app.models.vm import SourceNic, VmConfig
from app.proxy.agent_client import HostAgent
from tests.support.images import MIB
from tests.support.ovirt import DOMAIN_ID, convert, image_info, make_domain, volumes
from tests.support.requests import target


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_domain(tmp_path)


@pytest.fixture
def settings(root: Path) -> OvirtDataSettings:
    return OvirtDataSettings(path=str(root))


@pytest.fixture
def attempt_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "attempt"
    directory.mkdir()
    return directory


async def test_the_check_knows_a_data_domain(settings: OvirtDataSettings, local_agent: HostAgent) -> None:
    found = await OvirtData().check(settings, local_agent, uuid4())
    assert found.usable
    assert found.free_bytes


@pytest.mark.parametrize(
    "metadata",
    ["", "CLASS=Iso\n", f"CLASS=Backup\nSDUUID={DOMAIN_ID}\n", f"CLASS=Data\nSDUUID={UUID(int=1)}\n"],
)
async def test_what_is_no_data_domain_is_an_answer(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent, metadata: str
) -> None:
    (root / "dom_md" / "metadata").write_text(metadata)
    found = await OvirtData().check(settings, local_agent, uuid4())
    assert not found.usable
    assert found.problem is not None
    assert found.problem.code == DomainUnusableError.code


async def test_a_directory_without_metadata_is_an_answer(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent
) -> None:
    (root / "dom_md" / "metadata").unlink()
    assert not (await OvirtData().check(settings, local_agent, uuid4())).usable


async def test_the_volumes_are_there_before_virt_v2v(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent
) -> None:
    wanted = target(capacities=[4 * MIB, 8 * MIB - 100])
    for _ in range(2):
        await OvirtData().prepare(settings, wanted, local_agent)
    found = volumes(root)
    sizes = [image_info(found[str(disk.id)])["virtual-size"] for disk in wanted.disks]
    assert sizes == [4 * MIB, 8 * MIB]


async def test_the_volumes_belong_to_vdsm(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent
) -> None:
    await OvirtData().prepare(settings, target(), local_agent)
    (volume,) = volumes(root).values()
    assert [(path.stat().st_uid, path.stat().st_gid) for path in (volume, volume.parent)] == [(36, 36)] * 2
    assert [oct(path.stat().st_mode & 0o777) for path in (volume, volume.parent)] == ["0o660", "0o755"]


async def test_a_qcow2_volume_is_of_version_3(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent
) -> None:
    await OvirtData().prepare(settings, target(format_name=DiskFormat.QCOW2), local_agent)
    (volume,) = volumes(root).values()
    found = image_info(volume)
    assert found["format"] == "qcow2"
    assert "'compat': '1.1'" in str(found)


async def test_a_preallocated_volume_holds_its_bytes(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent
) -> None:
    await OvirtData().prepare(settings, target(allocation=Allocation.PREALLOCATED), local_agent)
    (volume,) = volumes(root).values()
    assert volume.stat().st_blocks * 512 >= 4 * MIB


def test_virt_v2v_is_told_each_id_in_order(settings: OvirtDataSettings, root: Path) -> None:
    wanted = target(capacities=[MIB, MIB])
    argv = OvirtData().output(settings, wanted).argv
    assert argv[:10] == (*("-o", "vdsm", "-os", str(root), "-of", "raw", "-oa", "sparse", "-on", "web_1"),)
    options = [argv[index + 1] for index, word in enumerate(argv) if word == "-oo"]
    images = [f"vdsm-image-uuid={disk.id}" for disk in wanted.disks]
    assert [option for option in options if "image" in option] == images
    assert len({option for option in options if "vol-uuid" in option}) == 2
    assert f"vdsm-vm-uuid={wanted.vm_id}" in options
    assert "vdsm-ovf-output=/w/attempt" in options


async def test_what_was_made_is_read_back(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent, attempt_dir: Path
) -> None:
    wanted = target(str(attempt_dir))
    await OvirtData().prepare(settings, wanted, local_agent)
    convert(root, wanted)
    made = await OvirtData().collect(settings, wanted, local_agent)
    assert [(disk.path, disk.capacity_bytes) for disk in made.disks] == [
        (str(path), 4 * MIB) for path in volumes(root).values()
    ]
    assert made.config is not None
    assert [disk.bus for disk in made.disks] == ["virtio"]


@pytest.mark.parametrize(
    "meta", [{"legality": "ILLEGAL"}, {"format": "COW"}, {"image": str(UUID(int=1))}, {"domain": "other"}]
)
async def test_volume_metadata_that_vdsm_would_refuse_is_no_success(
    settings: OvirtDataSettings,
    root: Path,
    local_agent: HostAgent,
    attempt_dir: Path,
    meta: dict[str, str],
) -> None:
    wanted = target(str(attempt_dir))
    await OvirtData().prepare(settings, wanted, local_agent)
    convert(root, wanted, **meta)
    with pytest.raises(OutputInvalidError):
        await OvirtData().collect(settings, wanted, local_agent)


async def test_a_missing_ovf_is_no_success(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent, attempt_dir: Path
) -> None:
    wanted = target(str(attempt_dir))
    await OvirtData().prepare(settings, wanted, local_agent)
    convert(root, wanted)
    (attempt_dir / f"{wanted.vm_id}.ovf").unlink()
    with pytest.raises(OutputInvalidError, match=r"\.ovf"):
        await OvirtData().collect(settings, wanted, local_agent)


async def test_finishing_gives_everything_to_vdsm_and_the_vm_its_name(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent, attempt_dir: Path
) -> None:
    wanted = target(str(attempt_dir))
    await OvirtData().prepare(settings, wanted, local_agent)
    convert(root, wanted)
    made = await OvirtData().collect(settings, wanted, local_agent)
    nics = (SourceNic(id="nic-1", mac=None, network="ovirtmgmt"),)
    config = VmConfig(id="a", name="web <1>", cpu_count=4, memory_bytes=3 * 2**30, nics=nics)
    finished = await OvirtData().finish(settings, wanted, made, config, local_agent)
    assert await OvirtData().finish(settings, wanted, finished, config, local_agent) == finished
    assert "web &lt;1&gt;" in (finished.metadata_text or "")
    (volume,) = volumes(root).values()
    meta = volume.with_name(f"{volume.name}.meta")
    assert (meta.stat().st_uid, meta.stat().st_gid) == (36, 36)


async def test_an_ovf_without_the_disks_is_no_success(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent, attempt_dir: Path
) -> None:
    wanted = target(str(attempt_dir), capacities=[MIB, MIB])
    await OvirtData().prepare(settings, wanted, local_agent)
    convert(root, wanted)
    convert(root, replace(wanted, disks=wanted.disks[:1]))
    with pytest.raises(OutputInvalidError, match="1 disks instead of 2"):
        await OvirtData().collect(settings, wanted, local_agent)


async def test_an_ovf_that_names_other_disks_is_no_success(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent, attempt_dir: Path
) -> None:
    wanted = target(str(attempt_dir))
    await OvirtData().prepare(settings, wanted, local_agent)
    convert(root, wanted)
    ovf = attempt_dir / f"{wanted.vm_id}.ovf"
    ovf.write_text(ovf.read_text().replace(f"fileRef='{wanted.disks[0].id}/", f"fileRef='{uuid4()}/"))
    with pytest.raises(OutputInvalidError, match="doesn't name disk 1"):
        await OvirtData().collect(settings, wanted, local_agent)


async def test_released_images_hold_only_what_vdsm_knows(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent, attempt_dir: Path
) -> None:
    wanted = target(str(attempt_dir), capacities=[MIB, MIB])
    await OvirtData().prepare(settings, wanted, local_agent)
    convert(root, wanted)
    for _ in range(2):
        await OvirtData().release(OvirtData().plan(settings, wanted), local_agent, wanted.attempt_id, 1)
    for image in (root / "images").iterdir():
        assert sorted({path.suffix for path in image.iterdir()}) == ["", ".meta"]


async def test_half_a_preparation_is_removed_whole(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent
) -> None:
    wanted = target(capacities=[MIB, MIB])
    plan = OvirtData().plan(settings, wanted)
    first = plan["directories"][0]
    await local_agent.make_dir(first, wanted.attempt_id, 1)
    for _ in range(2):
        await OvirtData().remove(plan, local_agent, wanted.attempt_id, 1)
    assert list((root / "images").iterdir()) == []


async def test_a_released_vm_can_be_reclaimed_and_removed(
    settings: OvirtDataSettings, root: Path, local_agent: HostAgent
) -> None:
    wanted = target(capacities=[MIB, MIB])
    await OvirtData().prepare(settings, wanted, local_agent)
    plan = OvirtData().plan(settings, wanted)
    await OvirtData().release(plan, local_agent, wanted.attempt_id, 1)
    await OvirtData().reclaim(plan, local_agent, wanted.attempt_id, 1)
    await OvirtData().remove(plan, local_agent, wanted.attempt_id, 1)
    assert list((root / "images").iterdir()) == []
