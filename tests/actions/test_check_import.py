"""Checking imports without starting them, on a real proxy host."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from app.actions.check_import import ImportCheck, check_import
from app.errors import HostError, UnknownReferenceError
from app.models.imports import VmImport
from app.models.storage_domains import StorageDomain
from app.models.vms import Vm
from app.services.specs import VmImportCreate
from tests.support.engine import Engine
from tests.support.records import add_vm


async def check(engine: Engine, **members: Any) -> ImportCheck:
    path = members.pop("path", None) or engine.source()
    body = {"source": {"kind": "disk", "path": path}, "storage_domain_id": str(engine.site.domain_id)}
    spec = VmImportCreate.model_validate(body | members)
    return await check_import(engine.providers, spec)


def codes(checked: ImportCheck) -> list[str]:
    return [problem.code for problem in checked.problems]


async def test_an_import_that_can_be_is_told_with_its_command(engine: Engine) -> None:
    checked = await check(engine, conversion={"luks_keys": ["s3cret"]})
    assert (checked.importable, checked.problems) == (True, ())
    assert checked.proxy_host is not None
    assert checked.proxy_host.id == engine.site.host_id
    assert "the only proxy host" in checked.proxy_host.reason
    assert checked.command is not None
    assert checked.command[checked.command.index("-o") :][:2] == ("-o", "local")
    assert "s3cret" not in checked.model_dump_json()
    assert checked.required_bytes is not None
    assert checked.required_bytes.work >= 2**30
    assert checked.storage_domain is not None
    assert (checked.storage_domain.free_bytes or 0) > 0


async def test_nothing_is_started_and_nothing_made(engine: Engine) -> None:
    await check(engine)
    assert engine.left_on_the_host() == []
    async with engine.database.reading() as session:
        for table in (VmImport, Vm):
            assert (await session.execute(select(func.count()).select_from(table))).scalar() == 0


async def test_a_missing_source_is_a_problem_in_the_answer(engine: Engine) -> None:
    checked = await check(engine, path=str(engine.sources / "not-there.img"))
    assert (checked.importable, codes(checked)) == (False, ["source_not_found"])


async def test_a_source_that_may_not_be_read_is_a_problem_in_the_answer(engine: Engine) -> None:
    assert codes(await check(engine, path="/etc/passwd")) == ["source_not_allowed"]


async def test_the_proxy_host_that_holds_the_source_is_found(engine: Engine) -> None:
    await engine.set_host(source_roots=(str(engine.store),))
    other = await engine.second_host(source_roots=(str(engine.sources),))
    checked = await check(engine)
    assert checked.proxy_host is not None
    assert (checked.importable, checked.proxy_host.id) == (True, other)


async def test_a_name_in_use_is_a_problem_beside_the_others(engine: Engine) -> None:
    async with engine.database.session() as session:
        domain = await session.get_one(StorageDomain, engine.site.domain_id)
        await add_vm(session, domain, name="web")
    checked = await check(
        engine,
        vm={"name": "web"},
        disk_defaults={"allocation": "preallocated"},
        path=engine.source("huge.img", size_bytes=2**43),
    )
    assert codes(checked) == ["no_room", "name_in_use"]
    assert checked.command is not None


async def test_a_full_host_is_looked_at_all_the_same(engine: Engine) -> None:
    await engine.set_host(max_concurrent_imports=1)
    await engine.queue()
    checked = await check(engine)
    assert checked.importable
    assert checked.proxy_host is not None
    assert checked.proxy_host.reason.startswith("it would wait now: ")


async def test_without_a_usable_host_the_answer_says_why(engine: Engine) -> None:
    await engine.set_host(enabled=False)
    checked = await check(engine)
    assert (codes(checked), checked.proxy_host) == (["no_proxy_host"], None)
    assert "is disabled" in checked.problems[0].detail


async def test_a_host_that_can_not_be_asked_makes_the_check_fail(engine: Engine) -> None:
    await engine.set_host(port=1)
    with pytest.raises(HostError):
        await check(engine)


async def test_an_unknown_reference_is_refused_as_in_an_import(engine: Engine) -> None:
    with pytest.raises(UnknownReferenceError):
        await check(engine, storage_domain_id=str(uuid4()))


async def test_an_unknown_disk_is_a_problem_with_its_pointer(engine: Engine) -> None:
    checked = await check(engine, disks=[{"source_disk_id": "sdz"}])
    assert codes(checked) == ["unknown_reference"]
    assert checked.problems[0].errors[0].pointer == "/disks/0/source_disk_id"
