"""VMs of KVM hosts through the whole job: libvirt's own test driver here, a real libvirtd behind SSH."""

import getpass
import os
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.actions.ask_child import Children
from app.actions.check_import import check_import
from app.models.imports import VmImport
from app.models.state import ImportState
from app.providers.kvm import KvmProviderCreate
from app.providers.xen import XenProviderCreate
from app.services import imports, providers
from app.services.specs import VmImportCreate
from app.sources import source_of
from app.sources.base import Reached
from app.v2v.command import V2vInput
from tests.support.engine import Engine
from tests.support.libvirt import domain, node, qcow2
from tests.support.libvirtd import Libvirtd, kvm_domain
from tests.support.remote_hosts import qcow2_on, raw_image, serving
from tests.support.rows import SEALER
from tests.support.waiting import until
from tests.support.xen_programs import PROGRAMS

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""One is enough: what is saved of these imports is what is saved of others."""
MIB = 2**20
ONE, TWO = os.urandom(MIB), os.urandom(2 * MIB)
"""What is on the disks."""
DATA = (
    "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
    "<source file='{}'/><target dev='vdb'/></disk>"
)


class Place:
    """A KVM host with one VM of two disks: a qcow2 that stands on another image, and a raw one."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine, self.directory, self.uuid = engine, directory, str(uuid4())
        engine.children = Children()
        self.provider_id = UUID(int=0)
        top = qcow2_on(raw_image(directory, "it's base", ONE))
        self.disks = qcow2(str(top), "vda") + DATA.format(raw_image(directory, "data.img", TWO))

    async def provider(self, url: str, **members: Any) -> None:
        await self.save(KvmProviderCreate(name="kvm-1", kind="kvm", url=url, **members))

    async def save(self, body: KvmProviderCreate | XenProviderCreate) -> None:
        async with self.engine.database.session() as session:
            self.provider_id = (await providers.create(session, body, SEALER, allows_local=True)).id

    async def behind_ssh(self, libvirtd: Libvirtd, **members: Any) -> None:
        there = self.there(libvirtd)
        await self.provider(f"qemu+ssh://{self.where}/system", **{**there, **members})

    def there(self, libvirtd: Libvirtd) -> dict[str, Any]:
        """The members of a provider, once its VM is there."""
        libvirtd.define(kvm_domain(f"web-{self.uuid[:8]}", self.uuid, self.disks))
        sshd = self.engine.sshd
        ssh = {
            "username": getpass.getuser(),
            "private_key": sshd.client_key,
            "host_key": sshd.host_key,
        }
        return {"ssh": ssh, "options": {"libvirt_socket": str(libvirtd.socket)}}

    @property
    def where(self) -> str:
        return f"{getpass.getuser()}@127.0.0.1:{self.engine.sshd.port}"

    def spec(self, **members: Any) -> VmImportCreate:
        source = {"kind": "provider_vm", "provider_id": str(self.provider_id), "vm_id": self.uuid}
        domain_id = str(self.engine.site.domain_id)
        return VmImportCreate.model_validate({"source": source, "storage_domain_id": domain_id, **members})

    async def copied(self, **members: Any) -> VmImport:
        async with self.engine.database.session() as session:
            spec = self.spec(conversion={"mode": "copy"}, disk_defaults={"format": "raw"}, **members)
            import_id = (await imports.create(session, spec, created_by="test", sealer=SEALER)).id
        await self.engine.site.admit()
        context = await self.engine.context()
        async with self.engine.watching(context):
            row = await self.engine.drive(context, import_id, seconds=100)
        assert row.state == ImportState.SUCCEEDED, (await self.engine.log(import_id)).decode()
        return row

    async def given(self) -> V2vInput:
        """virt-v2v's half of the command line, for an attempt in `/w`."""
        provider = await self.engine.providers.source(self.provider_id)
        assert provider is not None
        config, spec = await provider.vm(self.uuid), self.spec()
        reached = Reached(provider.access, None)
        return source_of("provider_vm").input(spec.source, config, spec, "/w", reached)

    def stored(self) -> list[bytes]:
        """What is on the disks in the storage domain, by their sizes."""
        found = [path.read_bytes() for path in self.engine.store.rglob("*") if path.is_file()]
        return sorted((data for data in found if len(data) >= MIB), key=len)


@pytest.fixture
def place(engine: Engine) -> Place:
    return Place(engine, engine.sources)


async def test_a_vm_of_this_machine_is_copied(place: Place) -> None:
    vm = domain("web-1", place.uuid, disks=[place.disks])
    await place.provider(f"test://{node(place.directory / 'node.xml', vm)}")
    row = await place.copied()
    assert row.state == ImportState.SUCCEEDED, row.problem
    assert place.stored() == [ONE, TWO]


@pytest.mark.parametrize("through", ["directly", "through the proxy host"])
async def test_a_vm_of_a_kvm_host_is_copied_over_ssh(
    place: Place, libvirtd: Libvirtd, tmp_path: Path, through: str
) -> None:
    """The proxy host may read nothing of it itself: it is outside its source roots."""
    place = Place(place.engine, tmp_path)
    host_id = place.engine.site.host_id if through != "directly" else None
    await place.behind_ssh(libvirtd, proxy_host_id=host_id)
    row = await place.copied()
    assert row.state == ImportState.SUCCEEDED, row.problem
    assert place.stored() == [ONE, TWO]
    await until(lambda: not serving(str(tmp_path)))


async def test_a_vm_of_a_xen_host_is_copied_and_converted_as_one_of_xen(
    place: Place, libvirtd: Libvirtd
) -> None:
    place.engine.children = Children(package=PROGRAMS)
    members = place.there(libvirtd)
    await place.save(XenProviderCreate(name="xen-1", kind="xen", url=f"xen+ssh://{place.where}", **members))
    await place.copied()
    assert place.stored() == [ONE, TWO]
    given = await place.given()
    assert b'<domain type="xen">' in given.files[0].data
    assert [file.name for file in given.files if file.secret] == ["provider-secret"]


async def test_a_check_tells_what_was_found_there_and_no_secret(place: Place, libvirtd: Libvirtd) -> None:
    await place.behind_ssh(libvirtd)
    found = await check_import(place.engine.providers, place.spec())
    assert (found.importable, found.problems) == (True, ())
    assert {concern.code for concern in found.concerns} == {"no_nics"}
    key = place.engine.sshd.client_key.get_secret_value()
    assert key.splitlines()[1] not in found.model_dump_json()


async def test_a_running_vm_is_told_and_copied_only_if_that_is_accepted(
    place: Place, libvirtd: Libvirtd
) -> None:
    await place.behind_ssh(libvirtd)
    libvirtd.start_domain(place.uuid)
    try:
        found = await check_import(place.engine.providers, place.spec())
        await place.copied(accept_concerns=["vm_running"])
    finally:
        libvirtd.end_domain(place.uuid)
    assert found.importable is False
    assert "vm_running" in {concern.code for concern in found.concerns}
    assert place.stored() == [ONE, TWO]


async def test_disks_need_a_login_even_where_the_list_does_not(place: Place) -> None:
    await place.provider("qemu+tcp://127.0.0.1:1/system")
    found = await check_import(place.engine.providers, place.spec())
    assert found.importable is False
    assert [problem.code for problem in found.problems] == ["provider_unreachable"]


async def test_an_image_that_refers_elsewhere_is_refused(place: Place, libvirtd: Libvirtd) -> None:
    evil = place.directory / "evil"
    argv = [
        "qemu-img",
        "create",
        "-q",
        "-u",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        "/etc/hostname",
        str(evil),
        "1M",
    ]
    subprocess.run(argv, check=True)  # noqa: ASYNC221
    place.disks = qcow2(str(evil), "vda")
    await place.behind_ssh(libvirtd)
    found = await check_import(place.engine.providers, place.spec())
    assert [problem.code for problem in found.problems] == ["unsafe_image"]
