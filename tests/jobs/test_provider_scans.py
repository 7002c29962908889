"""Scans of VMs of providers: read live, through the proxy host that is named or the provider is behind."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.db import Database
from app.errors import AppError, UnknownReferenceError
from app.models.providers import Provider
from app.models.scans import ScanState
from app.services import scans
from app.services.scan_specs import ScanCreate, ScanPublic
from app.sources.provider_vm import ProviderVmSource
from tests.jobs.test_provider_imports import Place
from tests.jobs.test_scan import ended, scanning
from tests.support.engine import Engine, engine_on
from tests.support.guestfish import StandInGuestfish
from tests.support.sshd import ssh_server

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def engine(database: Database, tmp_path: Path) -> AsyncIterator[Engine]:
    """Its proxy host has a guestfish that knows one guest."""
    with ssh_server(path=StandInGuestfish(tmp_path).path) as sshd:
        async with engine_on(database, sshd) as made:
            yield made


@pytest.fixture
async def place(engine: Engine) -> Place:
    return await Place(engine).build()


async def _add(place: Place, **members: Any) -> UUID:
    source = {"kind": "provider_vm", "provider_id": place.provider_id, "vm_id": "vm-1"}
    body = ScanCreate.model_validate({"source": source, **members})
    async with place.engine.database.session() as session:
        return (await scans.create(session, body, created_by="test")).id


async def _scan(place: Place, **members: Any) -> ScanPublic:
    scan_id = await _add(place, proxy_host_id=place.engine.site.host_id, **members)
    async with scanning(await place.engine.context()):
        return await ended(place.engine, scan_id)


async def test_the_vm_is_listed_with_the_source_that_imports_it(place: Place) -> None:
    shown = await _scan(place)
    assert (shown.state, shown.problem) == (ScanState.SUCCEEDED, None)
    (item,) = shown.items
    assert item.source == ProviderVmSource(kind="provider_vm", provider_id=place.provider_id, vm_id="vm-1")
    assert item.vm is not None
    assert (item.vm.name, item.path, item.problem) == ("web-1", None, None)
    # Asked on the proxy host, not only of the provider.
    assert [disk.capacity_bytes for disk in item.vm.disks] != [1]


async def test_a_deep_one_looks_into_the_guest(place: Place) -> None:
    (item,) = (await _scan(place, deep=True)).items
    assert item.guest_problem is None
    assert item.vm is not None
    assert item.vm.guest is not None
    assert item.vm.guest.distro == "debian"
    assert place.engine.left_on_the_host() == []


async def test_what_the_provider_refuses_fails_the_scan(place: Place) -> None:
    place.has(refuses={"code": "vm_not_found", "detail": "There is no such VM."}, vms=[])
    shown = await _scan(place)
    assert shown.state is ScanState.FAILED
    assert shown.problem is not None
    assert shown.problem.code == "source_vm_not_found"


async def test_a_provider_that_is_gone_by_then_fails_the_scan(place: Place) -> None:
    scan_id = await _add(place, proxy_host_id=place.engine.site.host_id)
    async with place.engine.database.session() as session:
        await session.delete(await session.get_one(Provider, place.provider_id))
    async with scanning(await place.engine.context()):
        shown = await ended(place.engine, scan_id)
    assert shown.problem is not None
    assert shown.problem.code == "not_found"


async def test_it_is_looked_at_through_the_host_that_the_provider_is_behind(place: Place) -> None:
    async with place.engine.database.session() as session:
        provider = await session.get_one(Provider, place.provider_id)
        provider.url, provider.proxy_host_id = "qemu+tcp://kvm.example/system", place.engine.site.host_id
    scan_id = await _add(place)
    async with place.engine.database.reading() as session:
        assert (await scans.get(session, scan_id)).proxy_host_id == place.engine.site.host_id


async def test_without_a_host_it_is_refused(place: Place) -> None:
    with pytest.raises(UnknownReferenceError) as refused:
        await _add(place)
    assert _pointers(refused.value) == ["/proxy_host_id"]


async def test_an_unknown_provider_is_refused(place: Place) -> None:
    place.provider_id = UUID(int=7)
    with pytest.raises(UnknownReferenceError) as refused:
        await _add(place, proxy_host_id=place.engine.site.host_id)
    assert _pointers(refused.value) == ["/source/provider_id"]


def _pointers(error: AppError) -> list[str]:
    return [fault.pointer for fault in error.errors]
