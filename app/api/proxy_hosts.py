"""`/v1/proxy-hosts`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.actions.probe_host import check_proxy_host
from app.api.conventions import IfMatchDep, changes, set_etag
from app.api.deps import (
    AdminDep,
    AfterCommitDep,
    OperatorDep,
    ReadingDep,
    SessionDep,
    StateDep,
    ViewerDep,
)
from app.api.pagination import NameQuery, PageDep, page_of
from app.api.problems import problems
from app.api.state import AppState
from app.api.work import ServiceRoute
from app.errors import (
    FieldError,
    InUseError,
    NameInUseError,
    NotFoundError,
    PreconditionFailedError,
    UnknownReferenceError,
    UnprocessableError,
)
from app.models.common import Page
from app.models.proxy_hosts import ProxyHost, ProxyHostCreate, ProxyHostPatch, ProxyHostPublic
from app.proxy.host_keys import check_private_key, fingerprint
from app.services import proxy_hosts

router = APIRouter(prefix="/v1/proxy-hosts", tags=["proxy hosts"], route_class=ServiceRoute)


def _check_keys(body: ProxyHostCreate | ProxyHostPatch) -> None:
    """Raises UnprocessableError for a key that can't be read."""
    try:
        pointer = "/host_key"
        if body.host_key is not None:
            fingerprint(body.host_key)
        pointer = "/private_key"
        if body.private_key is not None:
            check_private_key(body.private_key)
    except ValueError as error:
        fault = FieldError(pointer=pointer, code="invalid_key", detail=str(error))
        raise UnprocessableError(f"{pointer}: {error}", errors=(fault,)) from error


async def _found_anew(state: AppState, row: ProxyHost, response: Response) -> ProxyHostPublic:
    """The host as a probe finds it now."""
    found = await check_proxy_host(state.database, state.proxies, state.sealer, row.id)
    set_etag(response, found.version)
    async with state.database.reading() as session:
        return await proxy_hosts.public(session, found)


@router.post(
    "",
    operation_id="createProxyHost",
    summary="Enrol a proxy host",
    description="Without `host_key` the answer shows the key that the host offers, for a PATCH to accept.",
    status_code=201,
    responses=problems(NameInUseError, UnknownReferenceError),
)
async def create(
    body: ProxyHostCreate, caller: AdminDep, state: StateDep, response: Response
) -> ProxyHostPublic:
    _check_keys(body)
    async with state.database.session() as session:
        row = await proxy_hosts.create(session, body, state.sealer)
    response.headers["Location"] = f"{router.prefix}/{row.id}"
    return await _found_anew(state, row, response)


@router.get("", operation_id="listProxyHosts", summary="List proxy hosts", responses=problems())
async def index(
    caller: ViewerDep,
    session: ReadingDep,
    query: PageDep,
    data_center_id: Annotated[UUID | None, Query(description="Only those of this data center.")] = None,
    name: NameQuery = None,
) -> Page[ProxyHostPublic]:
    rows = await proxy_hosts.page(
        session, data_center_id=data_center_id, name=name, before=query.before, limit=query.with_one_more
    )
    shown = await proxy_hosts.publics(session, rows)
    return page_of(shown, query, show=lambda host: host, key=lambda host: host.id)


@router.get(
    "/{proxy_host_id:uuid}",
    operation_id="getProxyHost",
    summary="Read a proxy host",
    responses=problems(NotFoundError),
)
async def read(
    proxy_host_id: UUID, caller: ViewerDep, session: ReadingDep, response: Response
) -> ProxyHostPublic:
    row = await proxy_hosts.get(session, proxy_host_id)
    set_etag(response, row.version)
    return await proxy_hosts.public(session, row)


@router.patch(
    "/{proxy_host_id:uuid}",
    operation_id="updateProxyHost",
    summary="Change a proxy host, or accept its key",
    description="`enabled: false` drains it: what runs goes on, nothing new begins.",
    responses=problems(NotFoundError, NameInUseError, InUseError, PreconditionFailedError),
)
async def patch(
    proxy_host_id: UUID,
    body: ProxyHostPatch,
    caller: AdminDep,
    state: StateDep,
    if_match: IfMatchDep,
    response: Response,
) -> ProxyHostPublic:
    _check_keys(body)
    given = changes(body)
    async with state.database.session() as session:
        row = await proxy_hosts.get_locked(session, proxy_host_id)
        if_match.check(row.version)
        await proxy_hosts.patch(session, row, given, state.sealer)
    if proxy_hosts.FOUND_BY & given.keys():
        return await _found_anew(state, row, response)
    set_etag(response, row.version)
    async with state.database.reading() as session:
        return await proxy_hosts.public(session, row)


@router.delete(
    "/{proxy_host_id:uuid}",
    operation_id="deleteProxyHost",
    summary="Delete a proxy host that nothing uses",
    status_code=204,
    responses=problems(NotFoundError, InUseError, PreconditionFailedError),
)
async def remove(
    proxy_host_id: UUID,
    caller: AdminDep,
    session: SessionDep,
    state: StateDep,
    after: AfterCommitDep,
    if_match: IfMatchDep,
) -> None:
    row = await proxy_hosts.get_locked(session, proxy_host_id)
    if_match.check(row.version)
    await proxy_hosts.remove(session, row)
    after.add(state.proxies.forget, row.id)


@router.post(
    "/{proxy_host_id:uuid}/check",
    operation_id="checkProxyHost",
    summary="Probe a proxy host now",
    responses=problems(NotFoundError),
)
async def check(
    proxy_host_id: UUID, caller: OperatorDep, state: StateDep, response: Response
) -> ProxyHostPublic:
    async with state.database.reading() as session:
        row = await proxy_hosts.get(session, proxy_host_id)
    return await _found_anew(state, row, response)
