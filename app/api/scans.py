"""`/v1/scans`: looks into a source before something of it is imported."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from app.api.conventions import IfMatchDep, set_etag
from app.api.deps import AfterCommitDep, OperatorDep, ReadingDep, SessionDep, StateDep, ViewerDep
from app.api.pagination import PageDep, page_of
from app.api.problems import problems
from app.api.work import ServiceRoute
from app.errors import (
    InvalidCursorError,
    NoProxyHostError,
    NotFoundError,
    PreconditionFailedError,
    UnknownReferenceError,
    UnsupportedPropertyError,
    UploadNotCompleteError,
)
from app.models.common import Page
from app.models.scans import ScanState
from app.services import scans
from app.services.scan_specs import ScanCreate, ScanPublic, ScanSummaryPublic

router = APIRouter(prefix="/v1/scans", tags=["scans"], route_class=ServiceRoute)


@router.post(
    "",
    operation_id="createScan",
    summary="Look into a source",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(
        UnknownReferenceError, NoProxyHostError, UploadNotCompleteError, UnsupportedPropertyError
    ),
)
async def create(
    caller: OperatorDep,
    body: ScanCreate,
    session: SessionDep,
    state: StateDep,
    after: AfterCommitDep,
    response: Response,
) -> ScanPublic:
    """Lists the VMs that are in the source, each with the `source` that imports it. A worker looks; ask for
    the scan until its state is `succeeded` or `failed`.
    """
    row = await scans.create(session, body, created_by=caller.name)
    after.add(state.queue.wake_scan, row.id)
    response.headers["Location"] = f"{router.prefix}/{row.id}"
    set_etag(response, row.version)
    return scans.public(row)


@router.get("", operation_id="listScans", summary="List scans", responses=problems(InvalidCursorError))
async def index(
    _: ViewerDep,
    session: ReadingDep,
    query: PageDep,
    state: Annotated[ScanState | None, Query(description="Only those in this state.")] = None,
    proxy_host_id: Annotated[UUID | None, Query(description="Only those on this host.")] = None,
) -> Page[ScanSummaryPublic]:
    """Newest first, without what they found. A scan is kept for a day after it has ended."""
    found = await scans.page(
        session, state=state, proxy_host_id=proxy_host_id, before=query.before, limit=query.with_one_more
    )
    return page_of(found, query, show=scans.summary, key=lambda scan: scan.id)


@router.get(
    "/{scan_id:uuid}", operation_id="getScan", summary="Get a scan", responses=problems(NotFoundError)
)
async def read(_: ViewerDep, scan_id: UUID, session: ReadingDep, response: Response) -> ScanPublic:
    """With all that it found, once it has succeeded."""
    row = await scans.get(session, scan_id)
    set_etag(response, row.version)
    return scans.public(row)


@router.delete(
    "/{scan_id:uuid}",
    operation_id="deleteScan",
    summary="Delete a scan",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, PreconditionFailedError),
)
async def remove(_: OperatorDep, scan_id: UUID, session: SessionDep, if_match: IfMatchDep) -> None:
    """One that runs is stopped."""
    row = await scans.get_locked(session, scan_id)
    if_match.check(row.version)
    await scans.forget(session, row)
