"""Shows imports: what the database says of them, with newer progress where Redis has it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from app.db import Database
from app.events import Events
from app.events.publisher import Kept
from app.events.streams import Shown
from app.models.events import ProgressEvent
from app.models.imports import VmImport
from app.models.state import ENDED
from app.services import imports
from app.services.imports import ImportFilter
from app.services.specs import VmImportPublic

SNAPSHOT_PAGE: Final = 50


async def show_import(database: Database, events: Events, import_id: UUID) -> VmImportPublic:
    """Raises NotFoundError."""
    async with database.reading() as session:
        row = await imports.get(session, import_id)
        shown = await imports.public(session, row)
    return _newest(row, shown, await events.kept(_running([row])))


async def show_page(
    database: Database, events: Events, wanted: ImportFilter, *, before: UUID | None, limit: int
) -> list[VmImportPublic]:
    """Newest first; `before` is the last one of the page before."""
    rows, page = await _read(database, wanted, before=before, limit=limit)
    kept = await events.kept(_running(rows))
    return [_newest(row, shown, kept) for row, shown in zip(rows, page, strict=True)]


async def snapshot(database: Database, events: Events, wanted: ImportFilter) -> AsyncIterator[list[Shown]]:
    """Every import that the filter shows, in pages, newest first; at least one page, be it empty."""
    before: UUID | None = None
    while True:
        rows, page = await _read(database, wanted, before=before, limit=SNAPSHOT_PAGE)
        # Read after the rows: what Redis refuses from now on can't be older than what is shown.
        kept = await events.kept([row.id for row in rows])
        yield [_shown(row, shown, kept) for row, shown in zip(rows, page, strict=True)]
        if len(rows) < SNAPSHOT_PAGE:
            return
        before = rows[-1].id


async def _read(
    database: Database, wanted: ImportFilter, *, before: UUID | None, limit: int
) -> tuple[list[VmImport], list[VmImportPublic]]:
    async with database.reading() as session:
        rows = await imports.page(session, wanted, before=before, limit=limit)
        return rows, await imports.publics(session, rows)


def _running(rows: Sequence[VmImport]) -> list[UUID]:
    return [row.id for row in rows if row.state not in ENDED]


def _newer(row: VmImport, kept: Mapping[UUID, Kept]) -> ProgressEvent | None:
    """The progress that Redis has, if it is newer than the row's."""
    progress = kept[row.id].progress if row.id in kept else None
    if progress is None or progress.attempt != row.attempt or progress.seq <= row.progress_seq:
        return None
    return progress if row.state not in ENDED else None


def _newest(row: VmImport, shown: VmImportPublic, kept: Mapping[UUID, Kept]) -> VmImportPublic:
    newer = _newer(row, kept)
    if newer is None:
        return shown
    return shown.model_copy(update={"progress": newer.progress, "disk_progress": newer.disk_progress})


def _shown(row: VmImport, shown: VmImportPublic, kept: Mapping[UUID, Kept]) -> Shown:
    newer = _newer(row, kept)
    return Shown(
        import_id=row.id,
        version=row.version,
        progress_mark=(row.attempt, newer.seq if newer else row.progress_seq),
        ended=row.state in ENDED,
        told=row.id in kept and kept[row.id].version >= row.version,
        data=_newest(row, shown, kept).model_dump_json(),
    )
