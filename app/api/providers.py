"""`/v1/providers`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from app.actions.check_provider import check_provider
from app.api.conventions import IfMatchDep, changes, set_etag
from app.api.deps import AdminDep, OperatorDep, ReadingDep, SessionDep, StateDep, ViewerDep
from app.api.pagination import (
    HIGHEST_LIMIT,
    LIMIT,
    NameQuery,
    PageDep,
    from_text_cursor,
    page_of,
    to_text_cursor,
)
from app.api.problems import problems
from app.api.state import AppState
from app.api.work import ServiceRoute
from app.errors import (
    FieldError,
    InUseError,
    InvalidProviderUrlError,
    NameInUseError,
    NotFoundError,
    PreconditionFailedError,
    ProviderError,
    ProviderRefusedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    SecretsNeededError,
    UnknownReferenceError,
    UnprocessableError,
    UnsupportedPropertyError,
    VmVanishedError,
)
from app.models.columns import LONG_AGO
from app.models.common import Json, NoNul, Page
from app.models.providers import (
    Provider,
    ProviderPatch,
    ProviderPublic,
    ProviderVmPage,
    SshCreate,
    SshPatch,
    TlsChecks,
    TlsPatch,
)
from app.models.source_vms import SourceVm
from app.models.vm import PowerState
from app.providers import ProviderCreate
from app.providers.certificates import check_certificates
from app.proxy.host_keys import check_private_key, fingerprint
from app.services import inventories, providers
from app.services.source_vms import shown

router = APIRouter(prefix="/v1/providers", tags=["providers"], route_class=ServiceRoute)

ASKING = (ProviderError, ProviderUnreachableError, ProviderTimeoutError, ProviderRefusedError)
"""What asking a provider may be answered by; each refusal has a code of its own besides."""


def _check_keys(ssh: SshCreate | SshPatch | None, tls: TlsChecks | TlsPatch | None) -> None:
    """Raises UnprocessableError for a key or a certificate that can't be read."""
    pointer = "/ssh/host_key"
    try:
        if ssh is not None and ssh.host_key is not None:
            fingerprint(ssh.host_key)
        pointer = "/ssh/private_key"
        if ssh is not None and ssh.private_key is not None:
            check_private_key(ssh.private_key)
        pointer = "/tls/ca_pem"
        if tls is not None and tls.ca_pem is not None:
            check_certificates(tls.ca_pem)
    except ValueError as error:
        fault = FieldError(pointer=pointer, code="invalid_key", detail=str(error))
        raise UnprocessableError(f"{pointer}: {error}", errors=(fault,)) from error


def _given(body: ProviderPatch) -> Json:
    """What was sent, also within `ssh` and `tls`. Raises UnprocessableError for a null without a meaning."""
    given = changes(body)
    for name in ("ssh", "tls"):
        if given.get(name) is not None:
            given[name] = changes(given[name], within=f"/{name}")
    return given


async def _found_anew(state: AppState, row: Provider, response: Response) -> ProviderPublic:
    """The provider as a check finds it now."""
    found = await check_provider(state.providers, row.id)
    set_etag(response, found.version)
    return providers.public(found)


@router.post(
    "",
    operation_id="createProvider",
    summary="Add a provider, and check it",
    description="Without `ssh.host_key` the answer shows the key that the host offers; a PATCH accepts it.",
    status_code=201,
    responses=problems(
        NameInUseError, UnknownReferenceError, UnsupportedPropertyError, InvalidProviderUrlError
    ),
)
async def create(
    body: ProviderCreate, caller: AdminDep, state: StateDep, response: Response
) -> ProviderPublic:
    _check_keys(body.ssh, body.tls)
    allows_local = state.settings.allow_local_providers
    async with state.database.session() as session:
        row = await providers.create(session, body, state.sealer, allows_local=allows_local)
    response.headers["Location"] = f"{router.prefix}/{row.id}"
    return await _found_anew(state, row, response)


@router.get("", operation_id="listProviders", summary="List providers", responses=problems())
async def index(
    caller: ViewerDep,
    session: ReadingDep,
    query: PageDep,
    kind: Annotated[str | None, Query(max_length=64, description="Only those of this kind."), NoNul] = None,
    name: NameQuery = None,
) -> Page[ProviderPublic]:
    found = await providers.page(
        session, kind=kind, name=name, before=query.before, limit=query.with_one_more
    )
    return page_of(found, query, show=providers.public, key=lambda row: row.id)


@router.get(
    "/{provider_id:uuid}",
    operation_id="getProvider",
    summary="Read a provider",
    responses=problems(NotFoundError),
)
async def read(
    provider_id: UUID, caller: ViewerDep, session: ReadingDep, response: Response
) -> ProviderPublic:
    row = await providers.get(session, provider_id)
    set_etag(response, row.version)
    return providers.public(row)


@router.patch(
    "/{provider_id:uuid}",
    operation_id="updateProvider",
    summary="Change a provider, or accept its key",
    description="A change of `url`, `proxy_host_id`, `ssh` or `tls` has to bring the secrets again: they are "
    "never sent to another place than they were given for.",
    responses=problems(
        NotFoundError,
        NameInUseError,
        InUseError,
        UnknownReferenceError,
        UnsupportedPropertyError,
        InvalidProviderUrlError,
        SecretsNeededError,
        PreconditionFailedError,
    ),
)
async def patch(
    provider_id: UUID,
    body: ProviderPatch,
    caller: AdminDep,
    state: StateDep,
    if_match: IfMatchDep,
    response: Response,
) -> ProviderPublic:
    given = _given(body)
    _check_keys(body.ssh, body.tls)
    allows_local = state.settings.allow_local_providers
    async with state.database.session() as session:
        row = await providers.get_locked(session, provider_id)
        if_match.check(row.version)
        is_other = await providers.patch(session, row, given, state.sealer, allows_local=allows_local)
    if is_other:
        return await _found_anew(state, row, response)
    set_etag(response, row.version)
    return providers.public(row)


@router.delete(
    "/{provider_id:uuid}",
    operation_id="deleteProvider",
    summary="Delete a provider that no import uses",
    status_code=204,
    responses=problems(NotFoundError, InUseError, PreconditionFailedError),
)
async def remove(provider_id: UUID, caller: AdminDep, session: SessionDep, if_match: IfMatchDep) -> None:
    row = await providers.get_locked(session, provider_id)
    if_match.check(row.version)
    await providers.remove(session, row)


@router.post(
    "/{provider_id:uuid}/check",
    operation_id="checkProvider",
    summary="Log in to a provider now, and see what it is",
    responses=problems(NotFoundError),
)
async def check(
    provider_id: UUID, caller: OperatorDep, state: StateDep, response: Response
) -> ProviderPublic:
    async with state.database.reading() as session:
        row = await providers.get(session, provider_id)
    return await _found_anew(state, row, response)


@router.post(
    "/{provider_id:uuid}/refresh",
    operation_id="refreshProvider",
    summary="Read a provider's inventory anew",
    description="`inventory` of the provider tells how it goes; the former list is shown until the new "
    "one is there whole. A reading that goes on already is not begun again.",
    status_code=202,
    responses=problems(NotFoundError),
)
async def refresh(
    provider_id: UUID, caller: OperatorDep, state: StateDep, response: Response
) -> ProviderPublic:
    row = await state.inventories.begin(provider_id)
    response.headers["Location"] = f"{router.prefix}/{provider_id}"
    set_etag(response, row.version)
    return providers.public(row)


@router.get(
    "/{provider_id:uuid}/vms",
    operation_id="listProviderVms",
    summary="List a provider's VMs",
    description="From the inventory, which the first call reads; `fetched_at` says of when it is. A VM that "
    "can't be imported is listed with the reason.",
    responses=problems(NotFoundError, *ASKING),
)
async def list_vms(
    provider_id: UUID,
    caller: ViewerDep,
    state: StateDep,
    name: Annotated[
        str | None, Query(max_length=255, description="A part of the name, in any case."), NoNul
    ] = None,
    power: Annotated[PowerState | None, Query(alias="state", description="Only those in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=HIGHEST_LIMIT, description="Items a page.")] = LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=8192, description="`next_cursor` of the page before.")
    ] = None,
) -> ProviderVmPage:
    after = None if cursor is None else from_text_cursor(cursor)
    row = await state.inventories.first(provider_id)
    async with state.database.reading() as session:
        found = await inventories.page(
            session, provider_id, name=name, state=power, after=after, limit=limit + 1
        )
    items = found[:limit]
    more = to_text_cursor(items[-1].name, items[-1].id) if len(found) > limit else None
    return ProviderVmPage(items=items, next_cursor=more, fetched_at=row.fetched_at or LONG_AGO)


@router.get(
    "/{provider_id:uuid}/vms/{source_vm_id}",
    operation_id="getProviderVm",
    summary="Look at a provider's VM now",
    responses=problems(NotFoundError, *ASKING),
)
async def read_vm(
    provider_id: UUID,
    source_vm_id: Annotated[
        str, Path(min_length=1, max_length=1024, description="As the list has it."), NoNul
    ],
    caller: ViewerDep,
    state: StateDep,
) -> SourceVm:
    access = await state.providers.access(provider_id)
    try:
        found = await state.providers.vm(access, source_vm_id)
    except VmVanishedError as error:
        raise NotFoundError(error.detail) from error
    return shown(found.config, path=found.path)
