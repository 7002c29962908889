"""Uploads on record, on each database: the room they hold, who takes them, and when they are over."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db import Database
from app.errors import InUseError, NotFoundError
from app.models.columns import now
from app.models.imports import VmImport
from app.models.state import ImportState
from app.models.storage_domains import StorageDomain
from app.models.uploads import Upload, UploadState
from app.services import imports, placement, uploads
from app.services.specs import VmImportCreate
from tests.support.damage import Damage, garbage
from tests.support.rows import SEALER, Site


class Shelf:
    """A session with one proxy host, and uploads on it."""

    def __init__(self, session: AsyncSession, site: Site) -> None:
        self.session, self.site = session, site

    async def upload(self, length: int = 4, offset: int = 4, **fields: Any) -> Upload:
        state = UploadState.COMPLETE if offset == length else UploadState.RECEIVING
        given = {"state": state, "expires_at": now() + timedelta(hours=1), **fields}
        row = Upload(
            file_name="web.img",
            metadata_text="",
            length_bytes=length,
            offset_bytes=offset,
            proxy_host_id=self.site.host_id,
            created_by="test",
            **given,
        )
        self.session.add(row)
        await self.session.flush()
        return row

    async def import_of(self, *ids: UUID) -> VmImport:
        domain = await self.session.get_one(StorageDomain, self.site.domain_id)
        body = {
            "source": {"kind": "upload", "upload_ids": [str(upload_id) for upload_id in ids]},
            "storage_domain_id": str(domain.id),
        }
        request = VmImportCreate.model_validate(body)
        return await imports.create(self.session, request, created_by="test", sealer=SEALER)


@pytest.fixture
async def shelf(database: Database) -> AsyncIterator[Shelf]:
    site = await Site(database).build()
    async with database.session() as session:
        yield Shelf(session, site)


async def test_bytes_that_are_to_come_hold_room_on_their_host(shelf: Shelf) -> None:
    await shelf.upload(100, 30)
    await shelf.upload(10, 0)
    await shelf.upload(1000, 1000)
    await shelf.upload(1000, 0, forgotten=True)
    await shelf.upload(1000, 0, state=UploadState.EXPIRED)
    load = await placement.current_load(shelf.session)
    assert load.bytes[shelf.site.host_id] == 80


async def test_a_live_import_holds_its_uploads_and_an_ended_one_does_not(shelf: Shelf) -> None:
    taken, other = await shelf.upload(), await shelf.upload()
    row = await shelf.import_of(taken.id)
    assert row.spec["proxy_host_id"] == str(shelf.site.host_id)
    assert await uploads.imports_of(shelf.session, [taken.id, other.id]) == [row.id]
    with pytest.raises(InUseError, match=str(row.id)):
        await uploads.forget(shelf.session, taken)
    await uploads.forget(shelf.session, other)
    row.state = ImportState.FAILED
    await shelf.session.flush()
    await uploads.forget(shelf.session, taken)
    with pytest.raises(NotFoundError):
        await uploads.get(shelf.session, taken.id)


async def test_time_ends_what_no_live_import_takes(shelf: Shelf) -> None:
    over = now() - timedelta(seconds=1)
    taken, idle = await shelf.upload(expires_at=over), await shelf.upload(expires_at=over)
    fresh = await shelf.upload()
    await shelf.import_of(taken.id)
    assert await uploads.is_any_due(shelf.session)
    await uploads.expire(shelf.session)
    await shelf.session.flush()
    assert [row.state for row in (taken, idle, fresh)] == ["complete", "expired", "complete"]
    assert [row.id for row in await uploads.to_remove(shelf.session)] == [idle.id]
    assert await uploads.owned(shelf.session, [taken.id, idle.id, fresh.id]) == {taken.id, fresh.id}


async def test_an_import_that_can_t_be_read_holds_no_upload_and_keeps_none_from_ending(
    database: Database,
) -> None:
    site = await Site(database).build()
    async with database.session() as session:
        shelf = Shelf(session, site)
        over, unwanted = await shelf.upload(expires_at=now()), await shelf.upload()
        await shelf.import_of(over.id)
    is_sqlite = database.url.startswith("sqlite")
    for value in [*garbage(VmImport.__table__.c.spec, is_sqlite=is_sqlite), {"source": {"kind": "upload"}}]:
        damage = Damage(database, VmImport.__table__.c.spec)
        await damage.do(value)
        async with database.session() as session:
            assert await uploads.imports_of(session, [over.id]) == []
        await damage.undo()
    await damage.do({"source": {"kind": "upload"}})
    async with database.session() as session:
        await uploads.expire(session)
        await uploads.forget(session, await uploads.get(session, unwanted.id))
    async with database.reading() as session:
        assert (await session.get_one(Upload, over.id)).state == UploadState.EXPIRED


async def test_what_is_removed_leaves_the_record_when_nobody_is_to_see_it_any_more(shelf: Shelf) -> None:
    deleted = await shelf.upload(forgotten=True)
    expired = await shelf.upload(state=UploadState.EXPIRED, expires_at=now())
    long_ago = await shelf.upload(state=UploadState.EXPIRED, expires_at=now() - timedelta(days=2))
    for upload_id in (deleted.id, expired.id, long_ago.id):
        await uploads.removed(shelf.session, upload_id)
    statement = select(col(Upload.id), col(Upload.on_host))
    assert (await shelf.session.execute(statement)).all() == [(expired.id, False)]


async def test_what_comes_moves_the_end_of_its_time_on_and_only_a_new_state_is_a_new_version(
    shelf: Shelf,
) -> None:
    row = await shelf.upload(10, 0, expires_at=now())
    uploads.note_offset(row, 5, 3600)
    assert row.expires_at > now() + timedelta(minutes=50)
    assert (row.state, row.version) == ("receiving", 1)
    uploads.note_offset(row, 10, 3600)
    assert (row.state, row.version) == ("complete", 2)
    uploads.lose(row)
    assert (row.state, row.version) == ("lost", 3)


async def test_nothing_of_uploads_takes_no_time(shelf: Shelf) -> None:
    assert not await uploads.is_any_due(shelf.session)
    await uploads.expire(shelf.session)
    await uploads.consume(shelf.session, [uuid4()])
