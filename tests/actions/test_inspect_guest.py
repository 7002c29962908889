"""Looks into guests: what is found, what is told instead, and that nothing stays on the host."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from app.actions.scan_source import Deep, Scanned, scan_source
from app.models.proxy_hosts import ProxyHost
from app.services.scan_specs import source_from_row
from app.sources.base import Site
from tests.support.exports import Exports, mounted_below
from tests.support.guest import Guest
from tests.support.guestfish import StandInGuestfish
from tests.support.hosts import agent_at, marked_pids
from tests.support.images import make_image
from tests.support.ovas import ovf, pack, vmdk
from tests.support.rows import up
from tests.support.waiting import until


def host(work_dir: Path, **environment: str) -> ProxyHost:
    return ProxyHost(
        id=uuid4(),
        data_center_id=uuid4(),
        name="proxy-1",
        address="127.0.0.1",
        port=22,
        username="root",
        sudo=False,
        work_dir=str(work_dir),
        virt_v2v_path="virt-v2v",
        environment=environment,
        status=up(),
    )


async def scan(
    work_dir: Path,
    path: str,
    at: Path | str,
    kind: str = "ova",
    *,
    root: str | None = None,
    seconds: float = 60,
) -> Scanned:
    source = source_from_row({"kind": kind, "path": str(at)})
    deep = Deep(host(work_dir), uuid4(), 1, seconds)
    roots = [root or str(Path(at).parent)]
    return await scan_source(source, Site(agent_at(work_dir, path=path), roots), deep)


def left(work_dir: Path) -> list[Path]:
    return [path for name in ("attempts", "t") for path in (work_dir / name).iterdir()]


async def test_what_is_in_the_guest_is_told_with_its_concerns(work_dir: Path, tmp_path: Path) -> None:
    program = StandInGuestfish(tmp_path)
    ova = pack(tmp_path / "web.ova", {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)})
    (item,) = (await scan(work_dir, program.path, ova)).items
    assert item.guest_problem is None
    assert item.vm is not None
    guest = item.vm.guest
    assert guest is not None
    assert (guest.type, guest.distro, guest.version, guest.firmware) == ("linux", "debian", "12.5", "uefi")
    assert (guest.has_virtio, guest.virt_v2v_version) == (True, "2.4.0")
    assert [(one.mount_point, one.free_bytes) for one in guest.filesystems] == [
        ("/", 2_048_000_000),
        ("/boot", 2**20),
        ("/data", None),
    ]
    assert guest.unstable_devices == ("/dev/disk/by-path/pci-0", "/dev/sdb1")
    codes = {concern.code for concern in item.vm.concerns}
    assert {"guest_without_room", "guest_filesystem_unmountable", "guest_fstab_unstable"} <= codes
    assert item.vm.importable is False
    assert left(work_dir) == []


async def test_the_disks_are_opened_by_their_formats_and_never_written(
    work_dir: Path, tmp_path: Path
) -> None:
    program = StandInGuestfish(tmp_path)
    image = make_image(tmp_path / "a b.img", "qcow2")
    await scan(work_dir, program.path, image, "disk")
    assert program.asked()[0] == ["--listen", "--ro", "--format=qcow2", "-a", str(image)]


@pytest.mark.parametrize(
    ("answers", "told"), [({}, "guestfish run failed"), ({"run": "", "exit": "", "list-devices": ""}, None)]
)
async def test_a_guest_that_can_t_be_read_is_told_and_the_vm_stays(
    work_dir: Path, tmp_path: Path, answers: Mapping[str, str], told: str | None
) -> None:
    program = StandInGuestfish(tmp_path, answers)
    image = make_image(tmp_path / "web.img", "raw")
    (item,) = (await scan(work_dir, program.path, image, "disk")).items
    assert item.vm is not None
    assert left(work_dir) == []
    if told is None:
        assert item.vm.guest is not None
        assert "guest_without_system" in {concern.code for concern in item.vm.concerns}
        return
    assert item.vm.guest is None
    assert item.guest_problem is not None
    assert (item.guest_problem.code, told in item.guest_problem.detail) == ("guest_unreadable", True)


async def test_disks_that_had_to_be_unpacked_are_left_alone(work_dir: Path, tmp_path: Path) -> None:
    program = StandInGuestfish(tmp_path)
    files = {"web.ovf": ovf(), "disk1.vmdk": vmdk(tmp_path)}
    ova = pack(tmp_path / "web.ova", files, compressed=True)
    (item,) = (await scan(work_dir, program.path, ova)).items
    assert item.guest_problem is not None
    assert "compressed" in item.guest_problem.detail
    assert program.asked() == []


async def test_a_scan_that_is_stopped_leaves_nothing(work_dir: Path, tmp_path: Path) -> None:
    program = StandInGuestfish(tmp_path)
    program.hold()
    image = make_image(tmp_path / "web.img", "raw")
    task = asyncio.create_task(scan(work_dir, program.path, image, "disk"))
    await until(lambda: ["run"] in [asked[2:] for asked in program.asked()])
    ids = {path.name for path in (work_dir / "attempts").iterdir()}
    assert marked_pids(ids)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert left(work_dir) == []
    assert marked_pids(ids) == []


async def test_what_is_found_is_told_in_time_also_without_the_guests(work_dir: Path, tmp_path: Path) -> None:
    program = StandInGuestfish(tmp_path)
    program.hold()
    image = make_image(tmp_path / "web.img", "raw")
    (item,) = (await scan(work_dir, program.path, image, "disk", seconds=1)).items
    assert item.vm is not None
    assert item.guest_problem is not None
    assert "time was over" in item.guest_problem.detail
    assert left(work_dir) == []


async def test_a_guest_on_an_export_is_looked_into_there(work_dir: Path, tmp_path: Path) -> None:
    exports, program = Exports(tmp_path), StandInGuestfish(tmp_path)
    make_image(exports.export() / "web.qcow2", "qcow2")
    path = f"{program.path.split(':')[0]}:{exports.path}"
    address = "nfs://nas.example/vms"
    (item,) = (await scan(work_dir, path, f"{address}/web.qcow2", "disk", root=address)).items
    assert item.vm is not None
    assert item.vm.guest is not None
    assert mounted_below(work_dir) == []


@pytest.mark.real
@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_real_guest_is_looked_into(work_dir: Path, guest: Guest) -> None:
    source = source_from_row({"kind": "ova", "path": str(guest.ova)})
    real = host(work_dir, LIBGUESTFS_BACKEND_SETTINGS="force_tcg")
    scanned = await scan_source(
        source, Site(agent_at(work_dir), [str(guest.directory)]), Deep(real, uuid4(), 1, 800)
    )
    (item,) = scanned.items
    assert item.guest_problem is None
    assert item.vm is not None
    found = item.vm.guest
    assert found is not None
    assert (found.type, found.distro, found.firmware) == ("linux", "debian", "bios")
    assert (found.version or "").startswith("12")
    assert found.has_virtio
    root = found.filesystems[0]
    assert (root.mount_point, root.type) == ("/", "ext4")
    assert 0 < (root.free_bytes or 0) < (root.size_bytes or 0)
    assert left(work_dir) == []
