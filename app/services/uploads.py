"""Uploads: on record, found, held for imports, expired and forgotten. Their bytes lie on proxy hosts."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import (
    FieldError,
    NotFoundError,
    UnknownReferenceError,
    UnsupportedPropertyError,
    UploadExpiredError,
    UploadNotCompleteError,
)
from app.models.columns import now
from app.models.common import Shape
from app.models.imports import VmImport
from app.models.proxy_hosts import ProxyHost
from app.models.state import LIVE
from app.models.uploads import HELD, Upload, UploadPublic, UploadState
from app.services import users
from app.services.json_members import member_text
from app.sources.upload import UploadedFiles, UploadSource

REMEMBERED_SECONDS = 24 * 3600
"""How long an upload that has expired is still told as that."""


def add(session: AsyncSession, upload: Upload) -> None:
    """To be followed by the making of its directory: what is made is on record before it is there."""
    if upload.length_bytes == 0:
        upload.state = UploadState.COMPLETE
    session.add(upload)


async def get(session: AsyncSession, upload_id: UUID) -> Upload:
    """Raises NotFoundError."""
    return _there(await session.get(Upload, upload_id), upload_id)


async def get_locked(session: AsyncSession, upload_id: UUID) -> Upload:
    """As `get`, and nobody else changes it until the transaction ends."""
    found = await session.get(Upload, upload_id, with_for_update=True, populate_existing=True)
    return _there(found, upload_id)


def _there(upload: Upload | None, upload_id: UUID) -> Upload:
    if upload is None or upload.forgotten:
        raise NotFoundError(f"There is no upload {upload_id}.")
    return upload


def check_alive(upload: Upload) -> None:
    """Raises UploadExpiredError."""
    if upload.state == UploadState.EXPIRED:
        raise UploadExpiredError(f"The upload {upload.id} has expired.")


async def page(
    session: AsyncSession, *, state: UploadState | None, before: UUID | None, limit: int
) -> list[Upload]:
    """Newest first; `before` is the last one of the page before."""
    statement = select(Upload).where(col(Upload.forgotten).is_(False)).order_by(col(Upload.id).desc())
    if state is not None:
        statement = statement.where(col(Upload.state) == state)
    if before is not None:
        statement = statement.where(col(Upload.id) < before)
    return list((await session.execute(statement.limit(limit))).scalars())


def note_offset(upload: Upload, offset_bytes: int, lifetime_seconds: float) -> None:
    """How far the file has come; what comes for it keeps it alive. Only a change of state is a new version.

    One that was lost is there again when its host has it again.
    """
    is_whole = offset_bytes == upload.length_bytes
    state = UploadState.COMPLETE if is_whole else UploadState.RECEIVING
    if offset_bytes != upload.offset_bytes:
        upload.offset_bytes = offset_bytes
        upload.expires_at = now() + timedelta(seconds=lifetime_seconds)
    _move(upload, state)


def lose(upload: Upload) -> None:
    """The host doesn't have it any more."""
    _move(upload, UploadState.LOST)


def _move(upload: Upload, state: UploadState) -> None:
    if upload.state not in {state, UploadState.EXPIRED}:
        upload.state = state
        upload.version += 1


async def forget(session: AsyncSession, upload: Upload) -> None:
    """Clients don't see it any more, and it is to be removed. Raises InUseError."""
    importing = await imports_of(session, [upload.id])
    users.refuse("upload", [f"import {import_id}" for import_id in importing])
    upload.forgotten = True


def ids_in(source: Shape) -> tuple[UUID, ...]:
    """The uploads that an import takes; most kinds of sources have none."""
    return source.upload_ids if isinstance(source, UploadSource) else ()


async def give_up(session: AsyncSession, upload_id: UUID, *, on_host: bool) -> None:
    """It could not be made; `on_host`: something may be there all the same."""
    values = {"forgotten": True, "on_host": on_host}
    await session.execute(update(Upload).where(col(Upload.id) == upload_id).values(values))
    await purge(session)


async def consume(session: AsyncSession, upload_ids: Sequence[UUID]) -> None:
    """Their import has succeeded."""
    await session.execute(update(Upload).where(col(Upload.id).in_(upload_ids)).values(forgotten=True))


# --- who uses them ---------------------------------------------------------------------------------------


async def imports_of(session: AsyncSession, upload_ids: Collection[UUID]) -> list[UUID]:
    """The live imports that take any of these."""
    return [
        import_id
        for import_id, taken in (await _taken(session)).items()
        if any(str(upload_id) in taken for upload_id in upload_ids)
    ]


async def _taken(session: AsyncSession) -> dict[UUID, str]:
    """The uploads of every live import that has some, their ids as text: a damaged import fails no query."""
    ids = member_text(VmImport.spec, "source", "upload_ids")
    statement = select(col(VmImport.id), ids.label("taken")).where(
        col(VmImport.state).in_(LIVE),
        member_text(VmImport.spec, "source", "kind") == UploadedFiles.kind,
        ids.is_not(None),
    )
    found = (await session.execute(statement)).all()
    return {row.id: row.taken for row in found}


async def check_usable(
    session: AsyncSession, ids: Sequence[UUID], *, host_id: UUID | None, data_center_id: UUID
) -> UUID:
    """The one proxy host on which all of them are; they stay as they are until the transaction ends.

    Raises UnknownReferenceError, UploadNotCompleteError, UnsupportedPropertyError (they are not
    all on one host, or elsewhere than the import is to be).
    """
    first = await check_together(session, ids, host_id=host_id)
    host = await session.get(ProxyHost, first)
    if host is None or host.data_center_id != data_center_id:
        raise _apart("/source/upload_ids/0", "Its proxy host is in another data center.")
    return first


async def check_together(session: AsyncSession, ids: Sequence[UUID], *, host_id: UUID | None) -> UUID:
    """As `check_usable`, in whatever data center they are."""
    found = [await _usable(session, number, upload_id) for number, upload_id in enumerate(ids)]
    first = found[0].proxy_host_id
    for number, upload in enumerate(found):
        if upload.proxy_host_id != first:
            raise _apart(f"/source/upload_ids/{number}", "It is on another proxy host than the first upload.")
    if host_id not in {None, first}:
        raise _apart("/proxy_host_id", f"The uploads are on proxy host {first}.")
    return first


async def _usable(session: AsyncSession, number: int, upload_id: UUID) -> Upload:
    upload = await session.get(Upload, upload_id, with_for_update={"read": True}, populate_existing=True)
    pointer = f"/source/upload_ids/{number}"
    if upload is None or upload.forgotten or upload.state in {UploadState.EXPIRED, UploadState.LOST}:
        detail = "There is no such upload any more." if upload else "There is no such upload."
        fault = FieldError(pointer=pointer, code=UnknownReferenceError.code, detail=detail)
        raise UnknownReferenceError(detail, errors=(fault,))
    if upload.state != UploadState.COMPLETE:
        detail = f"The upload {upload_id} has {upload.offset_bytes} of {upload.length_bytes} bytes."
        fault = FieldError(pointer=pointer, code=UploadNotCompleteError.code, detail=detail)
        raise UploadNotCompleteError(detail, errors=(fault,))
    return upload


def _apart(pointer: str, detail: str) -> UnsupportedPropertyError:
    fault = FieldError(pointer=pointer, code=UnsupportedPropertyError.code, detail=detail)
    return UnsupportedPropertyError(detail, errors=(fault,))


async def held_on(session: AsyncSession, host_id: UUID) -> list[str]:
    """Uploads that make their proxy host needed, named for people."""
    statement = select(col(Upload.id)).where(col(Upload.proxy_host_id) == host_id, _is_held())
    found = await session.execute(statement.limit(users.MOST_NAMED))
    return [f"upload {upload_id}" for upload_id in found.scalars()]


async def remove_of_host(session: AsyncSession, host_id: UUID) -> None:
    """The host's record goes, and with it the way to what may be left there."""
    await session.execute(delete(Upload).where(col(Upload.proxy_host_id) == host_id))


async def outstanding(session: AsyncSession) -> Counter[UUID]:
    """Bytes that are still to come, by proxy host: room that nobody else may have."""
    statement = (
        select(col(Upload.proxy_host_id), func.sum(col(Upload.length_bytes) - col(Upload.offset_bytes)))
        .where(col(Upload.state) == UploadState.RECEIVING, col(Upload.forgotten).is_(False))
        .group_by(col(Upload.proxy_host_id))
    )
    return Counter({host_id: int(left) for host_id, left in (await session.execute(statement)).all()})


def _is_held() -> ColumnElement[bool]:
    return and_(col(Upload.state).in_(HELD), col(Upload.forgotten).is_(False))


async def owned(session: AsyncSession, upload_ids: Sequence[UUID]) -> frozenset[UUID]:
    """Those of these that are on record and have not expired."""
    statement = select(col(Upload.id)).where(
        col(Upload.id).in_(upload_ids),
        col(Upload.forgotten).is_(False),
        col(Upload.state) != UploadState.EXPIRED,
    )
    return frozenset((await session.execute(statement)).scalars())


# --- their end -------------------------------------------------------------------------------------------


async def expire(session: AsyncSession) -> None:
    """Those whose time is over and that no live import takes."""
    statement = select(Upload).where(
        col(Upload.state) != UploadState.EXPIRED,
        col(Upload.forgotten).is_(False),
        col(Upload.expires_at) <= now(),
    )
    due = (await session.execute(statement.with_for_update(skip_locked=True))).scalars().all()
    taken = "".join((await _taken(session)).values()) if due else ""
    for upload in due:
        if str(upload.id) not in taken:
            _move(upload, UploadState.EXPIRED)


async def is_any_due(session: AsyncSession) -> bool:
    """Whether `expire` or `to_remove` may find something."""
    is_due = and_(col(Upload.on_host).is_(True), or_(_is_over(), col(Upload.expires_at) <= now()))
    return bool((await session.execute(select(exists().where(is_due)))).scalar())


async def to_remove(session: AsyncSession, limit: int = 100) -> list[Upload]:
    """Those of which something may be left on their host, and that nobody needs any more."""
    statement = select(Upload).where(_is_over(), col(Upload.on_host).is_(True))
    return list((await session.execute(statement.order_by(col(Upload.id)).limit(limit))).scalars())


def _is_over() -> ColumnElement[bool]:
    return or_(col(Upload.forgotten).is_(True), col(Upload.state) == UploadState.EXPIRED)


async def removed(session: AsyncSession, upload_id: UUID) -> None:
    """Nothing of it is on its host any more; one that clients don't see leaves the record, too."""
    await session.execute(update(Upload).where(col(Upload.id) == upload_id).values(on_host=False))
    await purge(session)


async def purge(session: AsyncSession) -> None:
    """Drop the records of what is over and gone."""
    oldest = now() - timedelta(seconds=REMEMBERED_SECONDS)
    is_old = and_(col(Upload.state) == UploadState.EXPIRED, col(Upload.expires_at) < oldest)
    await session.execute(
        delete(Upload).where(col(Upload.on_host).is_(False), or_(col(Upload.forgotten).is_(True), is_old))
    )


def public(upload: Upload) -> UploadPublic:
    return UploadPublic.model_validate(upload.model_dump(include=set(UploadPublic.model_fields)))
