"""Imports of providers' VMs through the whole job: read live, bound to a host, limited, and failing well."""

import json
from typing import Any
from uuid import UUID

import pytest

from app.actions.check_import import check_import
from app.errors import UnsupportedPropertyError
from app.models.providers import Provider
from app.models.state import ImportState
from app.services import imports, providers
from app.services.specs import VmImportCreate
from app.sources.provider_vms import provider_source_of
from tests.support.engine import Engine
from tests.support.rows import SEALER


class Place:
    """A local provider with one VM, whose disk the proxy host can read."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.file = engine, engine.sources / "vms.json"
        self.provider_id = UUID(int=0)

    async def build(self, **members: Any) -> "Place":
        disk = {
            "id": "vda",
            "label": "vda",
            "capacity_bytes": 1,
            "path": self.engine.source(),
            "format": "raw",
        }
        self.has(vms=[{"id": "vm-1", "name": "web-1", "state": "down", "disks": [disk]}])
        row = Provider(name="kvm-1", kind="kvm", url=f"test://{self.file}", **members)
        async with self.engine.database.session() as session:
            session.add(row)
        self.provider_id = row.id
        return self

    def has(self, **place: Any) -> None:
        self.file.write_text(json.dumps(place))

    def spec(self, **members: Any) -> VmImportCreate:
        source = {"kind": "provider_vm", "provider_id": str(self.provider_id), "vm_id": "vm-1"}
        body = {"source": source, "storage_domain_id": str(self.engine.site.domain_id), **members}
        return VmImportCreate.model_validate(body)

    async def queue(self, **members: Any) -> UUID:
        async with self.engine.database.session() as session:
            spec = self.spec(**members)
            return (await imports.create(session, spec, created_by="test", sealer=SEALER)).id


@pytest.fixture
async def place(engine: Engine) -> Place:
    return await Place(engine).build()


async def test_a_vm_of_a_provider_is_copied(place: Place) -> None:
    engine = place.engine
    context = await engine.context()
    import_id = await place.queue(conversion={"mode": "copy"})
    assert (await engine.site.row(import_id)).provider_id == place.provider_id
    await engine.site.admit()
    async with engine.watching(context):
        row = await engine.drive(context, import_id)
    assert row.problem is None, row.problem
    assert row.state == ImportState.SUCCEEDED


async def test_a_check_tells_the_command_and_what_the_provider_refuses(place: Place) -> None:
    found = await check_import(place.engine.providers, place.spec())
    assert (found.importable, found.problems) == (True, ())
    assert found.command is not None
    place.has(refuses={"code": "authentication_failed", "detail": "It said no."}, vms=[])
    refused = await check_import(place.engine.providers, place.spec())
    assert [problem.code for problem in refused.problems] == ["provider_authentication_failed"]


@pytest.mark.parametrize(
    ("refuses", "code"),
    [
        ({"code": "authentication_failed", "detail": "No."}, "provider_authentication_failed"),
        ({"code": "vm_not_found", "detail": "No."}, "source_vm_not_found"),
    ],
)
async def test_a_refusal_fails_the_import_at_once(place: Place, refuses: dict[str, str], code: str) -> None:
    engine = place.engine
    import_id = await place.queue()
    await engine.site.admit()
    place.has(refuses=refuses, vms=[])
    row = await engine.drive(await engine.context(), import_id)
    assert (row.state, row.attempt) == (ImportState.FAILED, 1)
    assert row.problem is not None
    assert row.problem.code == code


async def test_a_provider_that_is_away_for_a_while_is_tried_again(place: Place) -> None:
    engine = place.engine
    import_id = await place.queue()
    await engine.site.admit()
    place.has(refuses={"code": "unreachable", "detail": "No."}, vms=[])
    context = await engine.context(automatic_retries=1, automatic_retry_seconds=0.01)
    row = await engine.drive(context, import_id)
    assert (row.state, row.attempt) == (ImportState.FAILED, 2)


async def test_a_full_provider_makes_imports_wait_until_its_limit_is_raised(place: Place) -> None:
    engine = place.engine
    async with engine.database.session() as session:
        row = await providers.get_locked(session, place.provider_id)
        await providers.patch(session, row, {"max_concurrent_imports": 1}, SEALER, allows_local=True)
    first, second = [await place.queue() for _ in range(2)]
    assert await engine.site.admit() == [first]
    assert await engine.site.reason(second) == "Provider 'kvm-1' runs 1 imports, as many as it takes."
    other = await engine.site.queue(path=engine.source("other.img"))
    assert await engine.site.admit() == [other]
    async with engine.database.session() as session:
        row = await providers.get_locked(session, place.provider_id)
        await providers.patch(session, row, {"max_concurrent_imports": None}, SEALER, allows_local=True)
    assert await engine.site.admit() == [second]


async def test_an_import_is_bound_to_the_host_that_reaches_its_provider(engine: Engine) -> None:
    host_id = await engine.second_host()
    place = await Place(engine).build(proxy_host_id=host_id)
    bound, named = await place.queue(), await place.queue(proxy_host_id=str(engine.site.host_id))
    assert (await engine.site.row(bound)).spec["proxy_host_id"] == str(host_id)
    assert (await engine.site.row(named)).spec["proxy_host_id"] == str(engine.site.host_id)


def test_kinds_that_can_only_be_listed_are_refused() -> None:
    with pytest.raises(UnsupportedPropertyError, match="not imported"):
        provider_source_of("some other")
