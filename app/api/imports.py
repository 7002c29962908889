"""Imports: made, checked, read, changed, cancelled, retried and deleted."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Query, Response, status

from app.actions.announce import announce
from app.actions.check_import import ImportCheck, check_import
from app.actions.show_imports import show_import, show_page
from app.api import import_records
from app.api.conventions import IfMatchDep, changes, set_etag
from app.api.deps import AfterCommitDep, OperatorDep, SessionDep, StateDep, ViewerDep, require
from app.api.import_examples import CANCEL, CREATE, PATCH, RETRY
from app.api.labels import LabelsDep
from app.api.pagination import PageDep, page_of
from app.api.problems import problems
from app.api.state import AppState
from app.api.work import AfterCommit, ServiceRoute
from app.errors import (
    HostDeadlineError,
    HostKeyUnverifiedError,
    HostUnreachableError,
    ImportEndedError,
    ImportNotEndedError,
    ImportNotQueuedError,
    ImportNotRetryableError,
    InUseError,
    InvalidCursorError,
    InvalidNameError,
    NameInUseError,
    NotFoundError,
    PreconditionFailedError,
    UnknownReferenceError,
    UnsupportedPropertyError,
    UploadNotCompleteError,
)
from app.models.common import Page
from app.models.imports import ImportPatch
from app.models.state import ImportState, Role
from app.services import endings, imports
from app.services.imports import ImportFilter
from app.services.specs import ImportCancel, ImportRetry, VmImportCreate, VmImportPublic

router = APIRouter(prefix="/v1/imports", tags=["imports"], route_class=ServiceRoute)


def _filter(
    labels: LabelsDep,
    state: Annotated[list[ImportState] | None, Query(description="In any of these states.")] = None,
    batch_id: UUID | None = None,
    storage_domain_id: UUID | None = None,
    provider_id: UUID | None = None,
) -> ImportFilter:
    return ImportFilter(
        state=tuple(state or ()),
        labels=labels,
        batch_id=batch_id,
        storage_domain_id=storage_domain_id,
        provider_id=provider_id,
    )


FilterDep = Annotated[ImportFilter, Depends(_filter)]


def _tell(after: AfterCommit, state: AppState, import_id: UUID) -> None:
    """Clients hear of it, and a worker looks at it, once it is committed."""
    after.add(announce, state.database, state.events, import_id)
    after.add(state.queue.wake, import_id)


def _started(response: Response, shown: VmImportPublic) -> VmImportPublic:
    response.headers["Location"] = f"/v1/imports/{shown.id}"
    set_etag(response, shown.version)
    return shown


@router.post(
    "",
    operation_id="createImport",
    summary="Import a VM",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(
        UnknownReferenceError,
        UnsupportedPropertyError,
        UploadNotCompleteError,
        InvalidNameError,
        NameInUseError,
    ),
)
async def create_import(
    caller: OperatorDep,
    body: Annotated[VmImportCreate, Body(openapi_examples=CREATE)],
    session: SessionDep,
    state: StateDep,
    after: AfterCommitDep,
    response: Response,
) -> VmImportPublic:
    """Checks what needs no other machine, reserves the VM's name and queues the import; the rest is checked
    by the job before anything is made.
    """
    row = await imports.create(session, body, created_by=caller.name, sealer=state.sealer)
    _tell(after, state, row.id)
    return _started(response, await imports.public(session, row))


@router.post(
    "/check",
    operation_id="checkImport",
    summary="Check an import without starting it",
    responses=problems(
        UnknownReferenceError,
        UnsupportedPropertyError,
        UploadNotCompleteError,
        InvalidNameError,
        HostUnreachableError,
        HostKeyUnverifiedError,
        HostDeadlineError,
    ),
)
async def check_one(
    _: OperatorDep, body: Annotated[VmImportCreate, Body(openapi_examples=CREATE)], state: StateDep
) -> ImportCheck:
    """Everything that the job would check is checked now, on the proxy host that would be chosen now. What
    stands in the way is in `problems`; only a proxy host that can't be asked makes this fail.
    """
    return await check_import(state.providers, body)


@router.get("", operation_id="listImports", summary="List imports", responses=problems(InvalidCursorError))
async def list_imports(
    _: ViewerDep, state: StateDep, wanted: FilterDep, query: PageDep
) -> Page[VmImportPublic]:
    """Newest first."""
    found = await show_page(
        state.database, state.events, wanted, before=query.before, limit=query.with_one_more
    )
    return page_of(found, query, show=lambda shown: shown, key=lambda shown: shown.id)


@router.get(
    "/{import_id:uuid}", operation_id="getImport", summary="Get an import", responses=problems(NotFoundError)
)
async def get_import(_: ViewerDep, import_id: UUID, state: StateDep, response: Response) -> VmImportPublic:
    """The ETag counts changes of the import itself; progress comes without one."""
    shown = await show_import(state.database, state.events, import_id)
    set_etag(response, shown.version)
    return shown


@router.patch(
    "/{import_id:uuid}",
    operation_id="updateImport",
    summary="Change a queued import",
    responses=problems(NotFoundError, ImportNotQueuedError, PreconditionFailedError),
)
async def update_import(
    _: OperatorDep,
    import_id: UUID,
    body: Annotated[ImportPatch, Body(openapi_examples=PATCH)],
    if_match: IfMatchDep,
    session: SessionDep,
    state: StateDep,
    after: AfterCommitDep,
    response: Response,
) -> VmImportPublic:
    """A JSON merge patch: labels are merged, one that is null is removed."""
    changes(body)
    row = await imports.get_locked(session, import_id)
    if_match.check(row.version)
    await imports.patch(session, row, body)
    _tell(after, state, row.id)
    set_etag(response, row.version)
    return await imports.public(session, row)


@router.delete(
    "/{import_id:uuid}",
    operation_id="deleteImport",
    summary="Forget an ended import",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ImportNotEndedError, InUseError, PreconditionFailedError),
)
async def delete_import(
    _: OperatorDep,
    import_id: UUID,
    if_match: IfMatchDep,
    session: SessionDep,
    state: StateDep,
    after: AfterCommitDep,
) -> None:
    """With its attempts, timeline and logs. The VM that it made stays; what it kept of a failure
    (`keep_on_failure`) is an orphan then.
    """
    row = await imports.get_locked(session, import_id)
    if_match.check(row.version)
    await imports.remove(session, row)
    after.add(state.events.forget, import_id)


@router.post(
    "/{import_id:uuid}/cancel",
    operation_id="cancelImport",
    summary="Cancel an import",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(NotFoundError, ImportEndedError),
)
async def cancel_import(
    caller: OperatorDep,
    import_id: UUID,
    session: SessionDep,
    state: StateDep,
    after: AfterCommitDep,
    response: Response,
    body: Annotated[ImportCancel, Body(openapi_examples=CANCEL)] = ImportCancel(),  # noqa: B008  # frozen
) -> VmImportPublic:
    """Ends what runs and removes what was made, also where `keep_on_failure` is set. Asking again is fine.

    While the proxy host doesn't answer, the import is `cancelling`; `retry` says why and when it is tried
    again. With `force` (administrators only) it ends all the same, and what is left is among the orphans.
    """
    if body.force:
        require(caller, Role.ADMIN)
    row = await imports.get_locked(session, import_id)
    await (endings.cancel_by_force(session, row) if body.force else imports.cancel(session, row))
    _tell(after, state, row.id)
    return _started(response, await imports.public(session, row))


@router.post(
    "/{import_id:uuid}/retry",
    operation_id="retryImport",
    summary="Try a failed or cancelled import again",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(
        NotFoundError,
        ImportNotRetryableError,
        UnknownReferenceError,
        UnsupportedPropertyError,
        NameInUseError,
    ),
)
async def retry_import(
    _: OperatorDep,
    import_id: UUID,
    session: SessionDep,
    state: StateDep,
    after: AfterCommitDep,
    response: Response,
    body: Annotated[ImportRetry, Body(openapi_examples=RETRY)] = ImportRetry(),  # noqa: B008  # frozen
) -> VmImportPublic:
    """The next attempt of the same import, with the same request but for what the body changes."""
    row = await imports.get_locked(session, import_id)
    await imports.retry(session, row, body)
    _tell(after, state, row.id)
    return _started(response, await imports.public(session, row))


router.include_router(import_records.router)
