"""`/v1/uploads`: files that clients bring to a proxy host, with tus 1.0 and, to look at them, JSON."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.requests import ClientDisconnect

from app.actions.create_upload import UploadTools, UploadWish, create_upload
from app.actions.receive_upload import look_at_upload, receive_upload
from app.actions.remove_uploads import remove_upload
from app.api import tus
from app.api.conventions import IfMatchDep, set_etag
from app.api.deps import AfterCommitDep, OperatorDep, ReadingDep, SessionDep, StateDep, ViewerDep
from app.api.pagination import PageDep, page_of
from app.api.problems import Responses, problems
from app.api.state import AppState
from app.api.tus import TusDep
from app.api.work import ServiceRoute
from app.errors import (
    HostBusyError,
    HostDeadlineError,
    HostError,
    HostUnreachableError,
    InUseError,
    InvalidCursorError,
    NoProxyHostError,
    NoRoomError,
    NotFoundError,
    PreconditionFailedError,
    RequestTimeoutError,
    UnknownReferenceError,
    UnsupportedMediaTypeError,
    UnsupportedTusExtensionError,
    UnsupportedTusVersionError,
    UploadChecksumError,
    UploadExpiredError,
    UploadGoneError,
    UploadLockedError,
    UploadLostError,
    UploadOffsetError,
    UploadTooLongError,
)
from app.models.common import Page
from app.models.uploads import Upload, UploadPublic, UploadState
from app.services import uploads

router = APIRouter(prefix=tus.PATH, tags=["uploads"], route_class=ServiceRoute)

Length = Annotated[
    int,
    Header(
        alias="Upload-Length",
        ge=0,
        le=tus.LONGEST_LENGTH,
        description="Bytes of the whole file; `Upload-Defer-Length` is not supported.",
    ),
]
Metadata = Annotated[
    str,
    Header(
        alias="Upload-Metadata",
        description=(
            "Comma-separated pairs of a key and a base64 value: `filename`, and either `proxy_host_id` or "
            "`data_center_id` (a proxy host with room is chosen then). Other keys are kept and do nothing."
        ),
        json_schema_extra={"format": "tus-metadata"},
    ),
]
Offset = Annotated[
    int,
    Header(
        alias="Upload-Offset",
        ge=0,
        le=tus.LONGEST_LENGTH,
        description="Where the body begins in the file: the upload's offset.",
    ),
]
ChecksumText = Annotated[
    str | None,
    Header(
        alias="Upload-Checksum",
        description="Of the body: `sha1` or `sha256`, a blank, the digest in base64.",
        json_schema_extra={
            "pattern": "^(sha1 [A-Za-z0-9+/]{27}=|sha256 [A-Za-z0-9+/]{43}=)$",
            "format": "tus-checksum",
        },
    ),
]
ContentLength = Annotated[int | None, Header(alias="Content-Length", ge=0, include_in_schema=False)]

TRANSFER: Final = (
    UploadTooLongError,
    UploadLockedError,
    UploadChecksumError,
    RequestTimeoutError,
    NoRoomError,
    HostUnreachableError,
    HostBusyError,
    HostDeadlineError,
)
"""What may go wrong while bytes come."""


def _bytes(*, required: bool) -> dict[str, Any]:
    """A body that is a part of the file."""
    content = {tus.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}, "example": "…"}}
    return {"requestBody": {"required": required, "content": content}}


def _told(status: int, sentence: str, *names: str) -> Responses:
    """An answer with headers of the protocol."""
    return {status: {"description": sentence, "headers": {name: _header(name) for name in names}}}


def _header(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/headers/{name}"}


def _tools(state: AppState) -> UploadTools:
    return UploadTools(state.database, state.sealer, state.proxies, state.settings)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. A client that goes away ends it: what came until then counts."""
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        return


@router.options(
    "",
    operation_id="getUploadOptions",
    summary="Tell what of tus is supported",
    status_code=HTTPStatus.NO_CONTENT,
    responses=_told(
        204, "In its headers.", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm"
    )
    | problems(),
)
@router.options("/{upload_id:uuid}", include_in_schema=False)
async def options(_: ViewerDep, state: StateDep) -> Response:
    headers = tus.capabilities(state.settings.upload_limit_bytes)
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)


@router.post(
    "",
    operation_id="createUpload",
    summary="Begin an upload",
    status_code=HTTPStatus.CREATED,
    openapi_extra=_bytes(required=False),
    responses=_told(201, "The upload, empty or with the body in it.", "Upload-Offset", "Upload-Expires")
    | problems(
        UnknownReferenceError,
        NoProxyHostError,
        UnsupportedTusVersionError,
        UnsupportedTusExtensionError,
        *TRANSFER,
    ),
)
async def create(
    caller: OperatorDep,
    _: TusDep,
    request: Request,
    response: Response,
    state: StateDep,
    metadata: Metadata,
    length: Length,
    checksum: ChecksumText = None,
    content_length: ContentLength = None,
) -> UploadPublic:
    """Creation (tus), also with the first bytes as the body. The file goes to the proxy host as it comes;
    room for all of it is held there. The answer is the upload; `Location` is where the rest is sent (PATCH).
    """
    wish = _wish(metadata, length, caller.name)
    expected = tus.checksum_in(checksum)
    has_body = tus.is_upload_stream(request.scope)
    if not has_body and await request.body():
        raise _wrong_media_type()
    upload = await create_upload(_tools(state), wish)
    if has_body:
        upload = await receive_upload(
            _tools(state),
            upload,
            _chunks(request),
            offset_bytes=0,
            announced_bytes=content_length,
            checksum=expected,
        )
    response.headers["Location"] = f"{router.prefix}/{upload.id}"
    response.headers.update(tus.progress(upload))
    set_etag(response, upload.version)
    return uploads.public(upload)


def _wish(metadata: str, length: int, created_by: str) -> UploadWish:
    told = tus.metadata_in(metadata)
    host_id, center_id = tus.place_in(told)
    return UploadWish(
        file_name=tus.file_name_in(told),
        metadata_text=metadata,
        length_bytes=length,
        proxy_host_id=host_id,
        data_center_id=center_id,
        created_by=created_by,
    )


def _wrong_media_type() -> UnsupportedMediaTypeError:
    return UnsupportedMediaTypeError(hint=f"Send the file's bytes with `Content-Type: {tus.MEDIA_TYPE}`.")


@router.get("", operation_id="listUploads", summary="List uploads", responses=problems(InvalidCursorError))
async def index(
    _: ViewerDep,
    session: ReadingDep,
    query: PageDep,
    state: Annotated[UploadState | None, Query(description="Only those in this state.")] = None,
) -> Page[UploadPublic]:
    """Newest first, as they were when they were looked at last."""
    found = await uploads.page(session, state=state, before=query.before, limit=query.with_one_more)
    return page_of(found, query, show=uploads.public, key=lambda upload: upload.id)


@router.get(
    "/{upload_id:uuid}",
    operation_id="getUpload",
    summary="Get an upload",
    responses=problems(NotFoundError),
)
async def read(_: ViewerDep, upload_id: UUID, state: StateDep, response: Response) -> UploadPublic:
    """The proxy host is asked how far it is; while it can't be, what was known last is the answer."""
    upload = await _find(state, upload_id)
    try:
        upload = await look_at_upload(_tools(state), upload)
    except (UploadGoneError, HostError):
        upload = await _find(state, upload_id)
    set_etag(response, upload.version)
    return uploads.public(upload)


async def _find(state: AppState, upload_id: UUID) -> Upload:
    async with state.database.reading() as session:
        return await uploads.get(session, upload_id)


@router.head(
    "/{upload_id:uuid}",
    operation_id="getUploadOffset",
    summary="Ask how far an upload is",
    response_class=Response,
    responses=_told(
        200, "In its headers.", "Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Expires"
    )
    | problems(
        NotFoundError,
        UnsupportedTusVersionError,
        UploadExpiredError,
        UploadLostError,
        HostUnreachableError,
        HostDeadlineError,
    ),
)
async def look(_: OperatorDep, __: TusDep, upload_id: UUID, state: StateDep) -> Response:
    """The proxy host says it: after a broken connection this is where to go on."""
    upload = await look_at_upload(_tools(state), await _find(state, upload_id))
    return Response(status_code=HTTPStatus.OK, headers=tus.description(upload))


@router.patch(
    "/{upload_id:uuid}",
    operation_id="sendUpload",
    summary="Send the next bytes of an upload",
    status_code=HTTPStatus.NO_CONTENT,
    openapi_extra=_bytes(required=True),
    responses=_told(204, "All of the body is on the proxy host's disk.", "Upload-Offset", "Upload-Expires")
    | problems(
        NotFoundError,
        UploadOffsetError,
        UnsupportedTusVersionError,
        UploadExpiredError,
        UploadLostError,
        *TRANSFER,
    ),
)
async def send(
    _: OperatorDep,
    __: TusDep,
    upload_id: UUID,
    request: Request,
    state: StateDep,
    offset: Offset,
    checksum: ChecksumText = None,
    content_length: ContentLength = None,
) -> Response:
    """The core of tus: bytes from the upload's offset on, as many as the client likes; one writer at a time.
    What came before a connection broke stays, but for a body with a checksum: that counts whole or not.
    """
    if not tus.is_upload_stream(request.scope):
        raise _wrong_media_type()
    upload = await receive_upload(
        _tools(state),
        await _find(state, upload_id),
        _chunks(request),
        offset_bytes=offset,
        announced_bytes=content_length,
        checksum=tus.checksum_in(checksum),
    )
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=tus.progress(upload))


@router.delete(
    "/{upload_id:uuid}",
    operation_id="deleteUpload",
    summary="Delete an upload",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(NotFoundError, InUseError, PreconditionFailedError, UnsupportedTusVersionError),
)
async def remove(
    _: OperatorDep,
    __: TusDep,
    upload_id: UUID,
    session: SessionDep,
    state: StateDep,
    after: AfterCommitDep,
    if_match: IfMatchDep,
) -> None:
    """Termination (tus). The file is removed at once, or as soon as its proxy host answers again. One that a
    live import takes stays.
    """
    upload = await uploads.get_locked(session, upload_id)
    if_match.check(upload.version)
    await uploads.forget(session, upload)
    after.add(remove_upload, _tools(state), upload)
