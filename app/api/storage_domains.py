"""`/v1/storage-domains`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.actions.check_domain import check_storage_domain
from app.api.conventions import IfMatchDep, changes, set_etag
from app.api.deps import AdminDep, OperatorDep, ReadingDep, SessionDep, StateDep, ViewerDep
from app.api.pagination import NameQuery, PageDep, page_of
from app.api.problems import problems
from app.api.work import ServiceRoute
from app.destinations import StorageDomainCreate
from app.errors import (
    InUseError,
    NameInUseError,
    NotFoundError,
    PreconditionFailedError,
    UnknownReferenceError,
)
from app.models.common import Page
from app.models.storage_domains import StorageDomainPatch, StorageDomainPublic
from app.services import storage_domains

router = APIRouter(prefix="/v1/storage-domains", tags=["storage domains"], route_class=ServiceRoute)


@router.post(
    "",
    operation_id="createStorageDomain",
    summary="Create a storage domain",
    status_code=201,
    responses=problems(NameInUseError, UnknownReferenceError),
)
async def create(
    body: StorageDomainCreate, caller: AdminDep, session: SessionDep, response: Response
) -> StorageDomainPublic:
    row = await storage_domains.create(
        session,
        data_center_id=body.data_center_id,
        name=body.name,
        kind=body.kind,
        settings=body.settings.model_dump(mode="json"),
        max_concurrent_imports=body.max_concurrent_imports,
    )
    response.headers["Location"] = f"{router.prefix}/{row.id}"
    set_etag(response, row.version)
    return storage_domains.public(row)


@router.get("", operation_id="listStorageDomains", summary="List storage domains", responses=problems())
async def index(
    caller: ViewerDep,
    session: ReadingDep,
    query: PageDep,
    data_center_id: Annotated[UUID | None, Query(description="Only those of this data center.")] = None,
    name: NameQuery = None,
) -> Page[StorageDomainPublic]:
    found = await storage_domains.page(
        session, data_center_id=data_center_id, name=name, before=query.before, limit=query.with_one_more
    )
    return page_of(found, query, show=storage_domains.public, key=lambda row: row.id)


@router.get(
    "/{storage_domain_id:uuid}",
    operation_id="getStorageDomain",
    summary="Read a storage domain",
    responses=problems(NotFoundError),
)
async def read(
    storage_domain_id: UUID, caller: ViewerDep, session: ReadingDep, response: Response
) -> StorageDomainPublic:
    row = await storage_domains.get(session, storage_domain_id)
    set_etag(response, row.version)
    return storage_domains.public(row)


@router.patch(
    "/{storage_domain_id:uuid}",
    operation_id="updateStorageDomain",
    summary="Change a storage domain",
    responses=problems(
        NotFoundError, NameInUseError, InUseError, UnknownReferenceError, PreconditionFailedError
    ),
)
async def patch(
    storage_domain_id: UUID,
    body: StorageDomainPatch,
    caller: AdminDep,
    session: SessionDep,
    if_match: IfMatchDep,
    response: Response,
) -> StorageDomainPublic:
    given = changes(body)
    row = await storage_domains.get_locked(session, storage_domain_id)
    if_match.check(row.version)
    await storage_domains.patch(session, row, given)
    set_etag(response, row.version)
    return storage_domains.public(row)


@router.delete(
    "/{storage_domain_id:uuid}",
    operation_id="deleteStorageDomain",
    summary="Delete a storage domain that nothing uses",
    status_code=204,
    responses=problems(NotFoundError, InUseError, PreconditionFailedError),
)
async def remove(
    storage_domain_id: UUID, caller: AdminDep, session: SessionDep, if_match: IfMatchDep
) -> None:
    row = await storage_domains.get_locked(session, storage_domain_id)
    if_match.check(row.version)
    await storage_domains.remove(session, row)


@router.post(
    "/{storage_domain_id:uuid}/check",
    operation_id="checkStorageDomain",
    summary="Check a storage domain through every proxy host of its data center",
    responses=problems(NotFoundError),
)
async def check(
    storage_domain_id: UUID, caller: OperatorDep, state: StateDep, response: Response
) -> StorageDomainPublic:
    row = await check_storage_domain(state.database, state.proxies, state.sealer, storage_domain_id)
    set_etag(response, row.version)
    return storage_domains.public(row)
