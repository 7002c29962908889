"""`/v1/tokens`."""

from uuid import UUID

from fastapi import APIRouter, Response

from app.api.conventions import IfMatchDep, set_etag
from app.api.deps import AdminDep, ReadingDep, SessionDep
from app.api.pagination import PageDep, page_of
from app.api.problems import problems
from app.api.work import ServiceRoute
from app.errors import NotFoundError, PreconditionFailedError
from app.models.common import Page
from app.models.tokens import ApiTokenCreate, ApiTokenCreated, ApiTokenPublic
from app.services import tokens

router = APIRouter(prefix="/v1/tokens", tags=["tokens"], route_class=ServiceRoute)


@router.post(
    "",
    operation_id="createToken",
    summary="Create a token; it is shown this once",
    status_code=201,
    responses=problems(),
)
async def create(
    body: ApiTokenCreate, caller: AdminDep, session: SessionDep, response: Response
) -> ApiTokenCreated:
    row, token = await tokens.create(session, body)
    response.headers["Location"] = f"{router.prefix}/{row.id}"
    set_etag(response, row.version)
    return ApiTokenCreated(**tokens.public(row).model_dump(), token=token)


@router.get("", operation_id="listTokens", summary="List tokens", responses=problems())
async def index(caller: AdminDep, session: ReadingDep, query: PageDep) -> Page[ApiTokenPublic]:
    found = await tokens.page(session, before=query.before, limit=query.with_one_more)
    return page_of(found, query, show=tokens.public, key=lambda row: row.id)


@router.get(
    "/{token_id:uuid}",
    operation_id="getToken",
    summary="Read a token's record",
    responses=problems(NotFoundError),
)
async def read(token_id: UUID, caller: AdminDep, session: ReadingDep, response: Response) -> ApiTokenPublic:
    row = await tokens.get(session, token_id)
    set_etag(response, row.version)
    return tokens.public(row)


@router.delete(
    "/{token_id:uuid}",
    operation_id="revokeToken",
    summary="Revoke a token; its record stays",
    status_code=204,
    responses=problems(NotFoundError, PreconditionFailedError),
)
async def revoke(token_id: UUID, caller: AdminDep, session: SessionDep, if_match: IfMatchDep) -> None:
    row = await tokens.get_locked(session, token_id)
    if_match.check(row.version)
    await tokens.revoke(session, token_id)
