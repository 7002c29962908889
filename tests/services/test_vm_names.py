"""VM names: what one may be, who holds it, and when it is free again."""

import asyncio
from uuid import uuid4

import pytest

from app.db import Database
from app.errors import InvalidNameError, NameInUseError
from app.models.state import ImportState
from app.services import imports, vm_names
from tests.support.rows import Site, data_center


@pytest.mark.parametrize("name", ["web-1", "a b", "ünï", "$(id)", "-x", "'quoted'", "x" * 255, "..."])
def test_a_name_may_hold_almost_anything(name: str) -> None:
    assert vm_names.check(name) == name


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "a\nb", "a\0b", "x" * 256, "\x7f"])
def test_what_could_be_a_path_or_break_a_line_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        vm_names.check(name)
    assert caught.value.errors[0].pointer == "/vm/name"


async def test_two_live_imports_can_t_have_one_name(database: Database) -> None:
    site = await Site(database).build()
    await site.queue(vm={"name": "web"})
    with pytest.raises(NameInUseError):
        await site.queue(vm={"name": "web"})
    assert await site.queue(vm={"name": "Web"})


async def test_of_two_that_ask_together_one_gets_the_name(database: Database) -> None:
    site = await Site(database).build()
    asked = [site.queue(vm={"name": "web"}) for _ in range(4)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, NameInUseError) for answer in answers) == 3


async def test_holding_a_name_twice_is_fine(database: Database) -> None:
    site = await Site(database).build()
    import_id = await site.queue(vm={"name": "web"})
    async with database.session() as session:
        await vm_names.reserve(session, site.data_center_id, "web", import_id)


async def test_a_name_is_free_when_its_import_ends_without_a_vm(database: Database) -> None:
    site = await Site(database).build()
    import_id = await site.queue(vm={"name": "web"})
    async with database.session() as session:
        await imports.cancel(session, await imports.get(session, import_id), force=False)
    assert (await site.row(import_id)).state == ImportState.CANCELLED
    assert await site.queue(vm={"name": "web"})


async def test_a_vm_keeps_its_name_after_the_import(database: Database) -> None:
    site = await Site(database).build()
    import_id = await site.queue(vm={"name": "web"})
    async with database.session() as session:
        await vm_names.hand_over(session, import_id, uuid4())
        await vm_names.release(session, import_id)
    with pytest.raises(NameInUseError):
        await site.queue(vm={"name": "web"})


async def test_another_data_center_may_have_the_same_name(database: Database) -> None:
    site = await Site(database).build()
    await site.queue(vm={"name": "web"})
    async with database.session() as session:
        other = await data_center(session, "south")
        await vm_names.reserve(session, other.id, "web", uuid4())
