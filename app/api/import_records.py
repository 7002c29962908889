"""What is recorded of an import: its timeline, virt-v2v's log, and both in a bundle."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from app.actions.bundle_import import bundle_import, chunks
from app.actions.read_log import read_log
from app.api.deps import ReadingDep, StateDep, ViewerDep
from app.api.pagination import PageDep, page_of
from app.api.problems import Responses, problem_response, problems
from app.api.ranges import byte_range
from app.api.work import ServiceRoute
from app.db import Database
from app.errors import InvalidCursorError, NotFoundError, RangeNotSatisfiableError
from app.models.attempts import TimelineItem
from app.models.common import Page
from app.services import attempts, imports, log_chunks, timeline
from app.services.log_chunks import KeptLog

TEXT: Final[Responses] = {
    200: {"description": "The whole log.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    206: {"description": "A part of it.", "content": {"text/plain": {"schema": {"type": "string"}}}},
}
ARCHIVE: Final[Responses] = {
    200: {
        "description": "A zip archive: the import, its request and timeline, the log of each attempt, "
        "the proxy host and storage domain as they are now, versions. It holds no secrets.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(route_class=ServiceRoute)
"""Part of the imports' routes."""


@router.get(
    "/{import_id:uuid}/timeline",
    operation_id="listImportTimeline",
    summary="List what happened to an import",
    responses=problems(NotFoundError, InvalidCursorError),
)
async def list_import_timeline(
    _: ViewerDep, import_id: UUID, query: PageDep, session: ReadingDep
) -> Page[TimelineItem]:
    """Oldest first."""
    await imports.get(session, import_id)
    found = await timeline.page(session, import_id, after=query.before, limit=query.with_one_more)
    return page_of(found, query, show=timeline.public, key=lambda entry: entry.id)


@router.get(
    "/{import_id:uuid}/log",
    operation_id="getImportLog",
    summary="Get virt-v2v's log",
    response_class=Response,
    responses=TEXT | problems(NotFoundError, RangeNotSatisfiableError),
)
async def get_import_log(
    _: ViewerDep,
    import_id: UUID,
    state: StateDep,
    attempt: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="The newest one if not given.")
    ] = None,
    range_: Annotated[
        str | None, Header(alias="Range", description="One byte range, such as `bytes=-4096`.")
    ] = None,
    if_range: Annotated[
        str | None, Header(alias="If-Range", description="With any, the whole is sent: a log has no ETag.")
    ] = None,
) -> Response:
    """Progress bars are left out, secrets masked; of a very long log, the head and the tail are kept. While
    it grows, `bytes=N-` gets what has come since; nothing new yet is 416.
    """
    log = await _kept_log(state.database, import_id, attempt)
    try:
        wanted = byte_range(None if if_range else range_, log.size_bytes)
    except RangeNotSatisfiableError as error:
        return problem_response(error, {"Content-Range": f"bytes */{log.size_bytes}"})
    return StreamingResponse(
        read_log(state.database, log, wanted.start, wanted.end),
        wanted.status,
        headers=wanted.headers | {"Cache-Control": "no-cache"},
        media_type="text/plain; charset=utf-8",
    )


async def _kept_log(database: Database, import_id: UUID, number: int | None) -> KeptLog:
    """The log of an attempt; an import that has none yet has an empty log. Raises NotFoundError."""
    async with database.reading() as session:
        row = await imports.get(session, import_id)
        tried = (await attempts.of_imports(session, [row.id]))[row.id]
        found = next((a for a in reversed(tried) if number in {None, a.number}), None)
        if found is not None:
            return await log_chunks.kept(session, found.id)
        if number is not None:
            raise NotFoundError(f"The import has no attempt {number}.")
        return KeptLog(row.id, ())


@router.get(
    "/{import_id:uuid}/bundle",
    operation_id="getImportBundle",
    summary="Get all an expert needs about an import",
    response_class=Response,
    responses=ARCHIVE | problems(NotFoundError),
)
async def get_import_bundle(_: ViewerDep, import_id: UUID, state: StateDep) -> Response:
    file = await bundle_import(state.database, import_id)
    disposition = f'attachment; filename="import-{import_id}.zip"'
    return StreamingResponse(
        chunks(file), headers={"Content-Disposition": disposition}, media_type="application/zip"
    )
