"""Guests to whose disks only virt-v2v knows the way, looked into by its inspector; a script stands for it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from app.actions.scan_source import Deep, scan_source
from app.models.providers import TlsChecks
from app.models.vm import SourceDisk, VmConfig
from app.providers import kind_of, parse_url
from app.providers.base import ProviderAccess, SourceProvider
from app.providers.vmware import VmwareOptions
from app.services.scan_specs import ScanItem
from app.sources.base import Site
from app.sources.provider_vm import ProviderVmSource
from tests.actions.test_inspect_guest import host, left
from tests.support.hosts import agent_at

RECORDED = Path(__file__).parents[1] / "data" / "virt-v2v-inspector-2.6.0.xml"
PASSWORD = "s3cret word"
INSPECTOR = """#!/bin/sh
printf '%s\\n' "$@" >{directory}/asked
cat "$(sed -n '/^-ip$/{{n;p;}}' {directory}/asked)" >{directory}/password
{does}
"""
WRITES = f'while [ "$1" != -O ]; do shift; done; cat {RECORDED} >"$2"'
SOURCE = ProviderVmSource(kind="provider_vm", provider_id=UUID(int=3), vm_id="vm-1")


class Place:
    """A proxy host whose virt-v2v-inspector does what a test wants, and a vCenter with one VM."""

    def __init__(self, work_dir: Path, directory: Path) -> None:
        self.work_dir, self.directory = work_dir, directory

    def has(self, does: str) -> None:
        script = self.directory / "virt-v2v-inspector"
        script.write_text(INSPECTOR.format(directory=self.directory, does=does))
        script.chmod(0o755)

    async def scan(self) -> ScanItem:
        disk = SourceDisk(
            id="scsi0:0", label="1", bus="scsi", capacity_bytes=1, path="[ds] web/web.vmdk", format="vmdk"
        )
        origin = {"api": "vcenter", "path": "DC0\nesxi", "uuid": str(UUID(int=4))}
        config = VmConfig(id="vm-1", name="web", disks=(disk,), origin=origin)

        async def found(_: str) -> VmConfig:
            return config

        access = ProviderAccess(
            id=UUID(int=3),
            name="vcenter-1",
            kind="vmware",
            url=parse_url(kind_of("vmware"), "https://vcenter.example", allows_local=False),
            username="user",
            password=SecretStr(PASSWORD),
            ssh=None,
            tls=TlsChecks(),
            options=VmwareOptions(),
            proxy_host_id=None,
        )
        proxy_host = host(self.work_dir)
        proxy_host.virt_v2v_path = str(self.directory / "virt-v2v")
        site = Site(agent_at(self.work_dir), [], SourceProvider(access, found))
        scanned = await scan_source(SOURCE, site, Deep(proxy_host, uuid4(), 1, 60))
        (item,) = scanned.items
        return item


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="v2v-", dir="/tmp") as work_dir:
        yield Place(Path(work_dir), tmp_path)


async def test_it_is_asked_as_virt_v2v_would_be(place: Place) -> None:
    place.has(WRITES)
    item = await place.scan()
    assert item.guest_problem is None
    assert item.vm is not None
    assert item.vm.guest is not None
    assert (item.vm.guest.distro, item.vm.guest.version) == ("debian", "12.15")
    asked = (place.directory / "asked").read_text().splitlines()
    assert asked[:4] == ["--root", "first", "-i", "libvirt"]
    assert PASSWORD not in asked
    assert (place.directory / "password").read_text() == PASSWORD
    assert left(place.work_dir) == []


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("echo 'virt-v2v-inspector: error: no way to the disk'; exit 1", "no way to the disk"),
        ("echo 'virt-v2v: error: no certificates'; exit 1", "no certificates"),
        ("exit 1", "without an answer"),
        ('while [ "$1" != -O ]; do shift; done; echo "<a/>" >"$2"', "can't be read"),
    ],
)
async def test_a_look_that_fails_is_told_with_the_vm(place: Place, does: str, told: str) -> None:
    place.has(does)
    item = await place.scan()
    assert item.vm is not None
    assert item.guest_problem is not None
    assert told in item.guest_problem.detail
    assert left(place.work_dir) == []


async def test_a_host_without_an_inspector_is_told(place: Place) -> None:
    item = await place.scan()
    assert item.guest_problem is not None
    assert "virt-v2v-inspector" in item.guest_problem.detail
