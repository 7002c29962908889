"""`/v1/data-centers`."""

from uuid import UUID

from fastapi import APIRouter, Response

from app.api.conventions import IfMatchDep, changes, set_etag
from app.api.deps import AdminDep, ReadingDep, SessionDep, ViewerDep
from app.api.pagination import NameQuery, PageDep, page_of
from app.api.problems import problems
from app.api.work import ServiceRoute
from app.errors import InUseError, NameInUseError, NotFoundError, PreconditionFailedError
from app.models.common import Page
from app.models.data_centers import DataCenterCreate, DataCenterPatch, DataCenterPublic
from app.services import data_centers

router = APIRouter(prefix="/v1/data-centers", tags=["data centers"], route_class=ServiceRoute)


@router.post(
    "",
    operation_id="createDataCenter",
    summary="Create a data center",
    status_code=201,
    responses=problems(NameInUseError),
)
async def create(
    body: DataCenterCreate, caller: AdminDep, session: SessionDep, response: Response
) -> DataCenterPublic:
    row = await data_centers.create(session, body)
    response.headers["Location"] = f"{router.prefix}/{row.id}"
    set_etag(response, row.version)
    return data_centers.public(row)


@router.get("", operation_id="listDataCenters", summary="List data centers", responses=problems())
async def index(
    caller: ViewerDep,
    session: ReadingDep,
    query: PageDep,
    name: NameQuery = None,
) -> Page[DataCenterPublic]:
    found = await data_centers.page(session, name=name, before=query.before, limit=query.with_one_more)
    return page_of(found, query, show=data_centers.public, key=lambda row: row.id)


@router.get(
    "/{data_center_id:uuid}",
    operation_id="getDataCenter",
    summary="Read a data center",
    responses=problems(NotFoundError),
)
async def read(
    data_center_id: UUID, caller: ViewerDep, session: ReadingDep, response: Response
) -> DataCenterPublic:
    row = await data_centers.get(session, data_center_id)
    set_etag(response, row.version)
    return data_centers.public(row)


@router.patch(
    "/{data_center_id:uuid}",
    operation_id="updateDataCenter",
    summary="Change a data center",
    responses=problems(NotFoundError, NameInUseError, PreconditionFailedError),
)
async def patch(
    data_center_id: UUID,
    body: DataCenterPatch,
    caller: AdminDep,
    session: SessionDep,
    if_match: IfMatchDep,
    response: Response,
) -> DataCenterPublic:
    given = changes(body)
    row = await data_centers.get_locked(session, data_center_id)
    if_match.check(row.version)
    await data_centers.patch(session, row, given)
    set_etag(response, row.version)
    return data_centers.public(row)


@router.delete(
    "/{data_center_id:uuid}",
    operation_id="deleteDataCenter",
    summary="Delete a data center that holds nothing",
    status_code=204,
    responses=problems(NotFoundError, InUseError, PreconditionFailedError),
)
async def remove(data_center_id: UUID, caller: AdminDep, session: SessionDep, if_match: IfMatchDep) -> None:
    row = await data_centers.get_locked(session, data_center_id)
    if_match.check(row.version)
    await data_centers.remove(session, row)
