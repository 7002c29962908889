"""A vCenter behind the service's own parts: its program as a process, tunnels, checks and imports."""

import dataclasses
from typing import Any
from uuid import UUID

import pytest

from app.actions.ask_child import Children
from app.actions.check_import import check_import
from app.actions.providers import Providers
from app.errors import (
    ProviderAuthenticationError,
    ProviderCertificateError,
    ProviderTimeoutError,
    TlsPinUnsupportedError,
)
from app.models.proxy_hosts import ProxyHost, VirtV2vStatus
from app.models.state import ImportState
from app.providers.base import ProviderAccess
from app.providers.vmware import VmwareProviderCreate
from app.services import imports, providers
from app.services.specs import VmImportCreate
from tests.support.engine import Engine
from tests.support.rows import SEALER
from tests.support.vcenter import PASSWORD, USER, Vcenter, running_vcenter

MIB = 2**20
ABLE = VirtV2vStatus(
    version="2.2.0",
    inputs=("libvirt",),
    outputs=("local",),
    features=("vcenter-https", "mac-option"),
)


class Place:
    """An engine with the simulated vCenter as its provider."""

    def __init__(self, engine: Engine, vcenter: Vcenter, asking: Providers) -> None:
        self.engine, self.vcenter, self.asking = engine, vcenter, asking
        self.provider_id = UUID(int=0)

    async def has(self, tls: dict[str, Any] | None = None, **members: Any) -> ProviderAccess:
        body = {
            "name": "vcenter-1",
            "kind": "vmware",
            "url": f"https://127.0.0.1:{self.vcenter.port}",
            "username": USER,
            "password": PASSWORD,
            "tls": {"ca_pem": self.vcenter.certificate.pem} if tls is None else tls,
        }
        async with self.engine.database.session() as session:
            made = VmwareProviderCreate.model_validate(body | members)
            row = await providers.create(session, made, SEALER, allows_local=False)
            self.provider_id = row.id
        return await self.asking.access(self.provider_id)

    async def spec(self, **members: Any) -> VmImportCreate:
        vms = await self.asking.list_vms(await self.asking.access(self.provider_id))
        vm_id = vms[0].config.id
        source = {"kind": "provider_vm", "provider_id": str(self.provider_id), "vm_id": vm_id}
        body = {"source": source, "storage_domain_id": str(self.engine.site.domain_id), **members}
        return VmImportCreate.model_validate(body)


async def placed(engine: Engine, vcenter: Vcenter) -> Place:
    engine.children = Children()
    async with engine.database.session() as session:
        host = await session.get_one(ProxyHost, engine.site.host_id)
        host.status = host.status.model_copy(update={"virt_v2v": ABLE})
    return Place(engine, vcenter, engine.providers)


@pytest.fixture
async def place(engine: Engine, vcenter: Vcenter) -> Place:
    return await placed(engine, vcenter)


@pytest.mark.parametrize("is_through_the_host", [False, True])
async def test_a_vcenter_is_checked_listed_and_read(place: Place, is_through_the_host: bool) -> None:
    """Through the host, too, the certificate is verified for the name in the URL."""
    access = await place.has(proxy_host_id=place.engine.site.host_id if is_through_the_host else None)

    found = await place.asking.check(access)
    listed = await place.asking.list_vms(access)
    vm = await place.asking.vm(access, listed[0].config.id)

    assert (found.product, found.version) == ("VMware vCenter Server", "6.5.0 build-5973321")
    assert [(each.config.name, each.path, each.disk_count) for each in listed] == [
        ("DC0_C0_RP0_VM0", "/DC0/vm", 1),
        ("DC0_C0_RP0_VM1", "/DC0/vm", 1),
    ]
    assert vm.config.capacity_bytes == MIB


async def test_a_certificate_that_is_not_trusted_is_shown(place: Place) -> None:
    access = await place.has(tls={})

    with pytest.raises(ProviderCertificateError) as refused:
        await place.asking.check(access)

    assert refused.value.offered_thumbprint == place.vcenter.certificate.thumbprint()


async def test_a_wrong_password_is_sent_once(place: Place) -> None:
    access = await place.has(password="wrong")
    place.vcenter.calls()

    with pytest.raises(ProviderAuthenticationError):
        await place.asking.check(access)

    assert place.vcenter.calls()["Login"] == 1


async def test_a_vcenter_that_falls_silent_is_given_up(place: Place) -> None:
    access = await place.has()
    place.vcenter.fail("Login", "silence")
    settings = place.engine.settings.model_copy(update={"provider_seconds": 4})

    with pytest.raises(ProviderTimeoutError):
        await dataclasses.replace(place.asking, settings=settings).check(access)


async def test_a_check_tells_the_command_without_the_password(place: Place) -> None:
    await place.has()

    found = await check_import(place.asking, await place.spec())

    assert (found.importable, found.problems) == (True, ())
    assert [concern.code for concern in found.concerns] == ["nic_on_distributed_switch"]
    assert found.command is not None
    given = found.command[found.command.index("-ic") + 1]
    assert given == f"vpx://admin%40vsphere.local@127.0.0.1:{place.vcenter.port}/DC0/DC0_C0/DC0_C0_H0"
    assert PASSWORD not in found.model_dump_json()


async def test_a_pin_that_virt_v2v_can_not_keep_is_refused(engine: Engine) -> None:
    with running_vcenter(name="elsewhere.test") as vcenter:
        place = await placed(engine, vcenter)
        await place.has(tls={"thumbprint": vcenter.certificate.thumbprint()})

        found = await check_import(place.asking, await place.spec())

    assert [problem.code for problem in found.problems] == [TlsPinUnsupportedError.code]


async def test_a_vm_goes_through_the_whole_job(place: Place) -> None:
    """With a stand-in for virt-v2v, which is started where only the vCenter's certificate is trusted."""
    await place.has()
    engine = place.engine
    engine.virt_v2v.plan(size_bytes=MIB)
    spec = await place.spec()
    async with engine.database.session() as session:
        import_id = (await imports.create(session, spec, created_by="test", sealer=SEALER)).id
    await engine.site.admit()
    context = await engine.context()

    async with engine.watching(context):
        row = await engine.drive(context, import_id)

    assert row.problem is None, row.problem
    assert row.state == ImportState.SUCCEEDED


async def test_a_running_vm_is_refused_before_anything_is_made(engine: Engine) -> None:
    with running_vcenter("-started") as vcenter:
        place = await placed(engine, vcenter)
        await place.has()

        found = await check_import(place.asking, await place.spec())

    assert not found.importable
    assert "vm_running" in {concern.code for concern in found.concerns}
