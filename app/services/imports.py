"""Imports: made, read, changed, cancelled, retried and deleted; and the only place where a state changes."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.errors import (
    ConflictError,
    FieldError,
    ImportEndedError,
    ImportNotEndedError,
    ImportNotQueuedError,
    ImportNotRetryableError,
    InUseError,
    NotFoundError,
    Problem,
    UnprocessableError,
)
from app.models.attempts import Attempt
from app.models.columns import now
from app.models.imports import MOST_LABELS, Direction, ImportLabel, ImportPatch, VmImport
from app.models.progress import Progress
from app.models.state import LIVE, MOVES, ImportState, StepName
from app.models.vms import Vm, VmState
from app.secrets import Sealer
from app.services import attempts, records, references, timeline, unmarked, vm_names
from app.services.specs import (
    ImportRetry,
    ImportSpecPublic,
    VmImportCreate,
    VmImportPublic,
    spec_from_row,
)
from app.services.turns import locked, waits
from app.services.waiting import queue_statuses, retries
from app.sources.provider_vm import provider_id_in


class ImportFilter(BaseModel, frozen=True):
    """Which imports a list or a stream shows; what is not given doesn't matter."""

    state: tuple[ImportState, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    import_ids: tuple[UUID, ...] = ()
    batch_id: UUID | None = None
    storage_domain_id: UUID | None = None
    provider_id: UUID | None = None


# --- states ----------------------------------------------------------------------------------------------


def move(row: VmImport, state: ImportState) -> None:
    """Change the state, if `MOVES` allows it. Raises ConflictError."""
    if state not in MOVES[ImportState(row.state)]:
        raise ConflictError(f"An import can't go from {row.state} to {state}.")
    row.state = state
    changed(row)


def changed(row: VmImport) -> None:
    """Clients are to see the row's new state: `version` is its ETag and orders its events."""
    row.version += 1


async def end(
    session: AsyncSession, row: VmImport, state: ImportState, problem: Problem | None = None
) -> None:
    """The import has ended; the name it held is free again unless its VM bears it."""
    move(row, state)
    row.problem, row.finished_at = problem, now()
    row.wake_at = row.next_attempt_at = row.stage = None
    calm(row)
    if state == ImportState.SUCCEEDED:
        row.sealed_secrets = None
    await vm_names.release(session, row.id)
    timeline.note(session, row, state, code=problem.code if problem else None)


def calm(row: VmImport) -> bool:
    """The last turn went well. True when clients were told of trouble before."""
    was_told = row.retry is not None
    row.retry, row.troubled_since, row.troubles = None, None, 0
    return was_told


# --- requests --------------------------------------------------------------------------------------------


async def create(session: AsyncSession, body: VmImportCreate, *, created_by: str, sealer: Sealer) -> VmImport:
    """Check what needs no other machine, reserve the VM's name, and queue the import.

    Raises UnknownReferenceError, UnsupportedPropertyError, UploadNotCompleteError, InvalidNameError,
    NameInUseError.
    """
    data_center_id = await references.check(session, body)
    body = await references.bound(session, body)
    row = VmImport(
        spec=body.without_secrets(),
        data_center_id=data_center_id,
        storage_domain_id=body.storage_domain_id,
        provider_id=provider_id_in(body.source),
        priority=body.priority,
        labels=body.labels,
        start_after=body.start_after,
        created_by=created_by,
        wake_at=now(),
    )
    if secrets := body.secrets():
        row.sealed_secrets = sealer.seal(secrets, f"vm_imports:{row.id}")
    session.add(row)
    await session.flush()
    _add_labels(session, row)
    if body.vm.name is not None:
        await vm_names.reserve(session, data_center_id, body.vm.name, row.id)
    timeline.note(session, row, "created", created_by=created_by)
    return row


def _add_labels(session: AsyncSession, row: VmImport) -> None:
    for key, value in row.labels.items():
        session.add(ImportLabel(import_id=row.id, key=key, value=value))


async def get(session: AsyncSession, import_id: UUID) -> VmImport:
    """Raises NotFoundError."""
    row = await session.get(VmImport, import_id)
    if row is None:
        raise NotFoundError(f"There is no import {import_id}.")
    return row


async def get_locked(session: AsyncSession, import_id: UUID) -> VmImport:
    """The row, held by this transaction. Raises NotFoundError."""
    row = await locked(session, import_id)
    if row is None:
        raise NotFoundError(f"There is no import {import_id}.")
    return row


async def page(
    session: AsyncSession, wanted: ImportFilter, *, before: UUID | None = None, limit: int = 100
) -> list[VmImport]:
    """Newest first; `before` is the last one of the page before."""
    statement = _filtered(wanted).order_by(col(VmImport.id).desc()).limit(limit)
    if before is not None:
        statement = statement.where(col(VmImport.id) < before)
    return list((await session.execute(statement)).scalars())


def _filtered(wanted: ImportFilter) -> Select[VmImport]:
    statement = select(VmImport)
    if wanted.state:
        statement = statement.where(col(VmImport.state).in_(wanted.state))
    if wanted.import_ids:
        statement = statement.where(col(VmImport.id).in_(wanted.import_ids))
    for column, value in (
        (col(VmImport.batch_id), wanted.batch_id),
        (col(VmImport.storage_domain_id), wanted.storage_domain_id),
        (col(VmImport.provider_id), wanted.provider_id),
    ):
        if value is not None:
            statement = statement.where(column == value)
    for key, text in wanted.labels:
        having = select(col(ImportLabel.import_id)).where(
            col(ImportLabel.key) == key, col(ImportLabel.value) == text
        )
        statement = statement.where(col(VmImport.id).in_(having))
    return statement


async def patch(session: AsyncSession, row: VmImport, body: ImportPatch) -> None:
    """Change a queued import; the row is locked. Raises ImportNotQueuedError."""
    if row.state != ImportState.QUEUED:
        raise ImportNotQueuedError(f"The import is {row.state}.")
    given: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if body.labels is not None:
        given["labels"] = _merged(row.labels, body.labels)
    for name, value in given.items():
        setattr(row, name, value)
    if "labels" in given:
        await session.execute(delete(ImportLabel).where(col(ImportLabel.import_id) == row.id))
        _add_labels(session, row)
    row.spec = {**row.spec, **body.model_dump(mode="json", include=set(given)), "labels": row.labels}
    row.wakes += 1
    row.wake_at = now()
    changed(row)


def _merged(labels: dict[str, str], patch: dict[str, str | None]) -> dict[str, str]:
    """A merge patch of the labels (RFC 7396). Raises UnprocessableError when there are too many then."""
    merged = {key: value for key, value in {**labels, **patch}.items() if value is not None}
    if len(merged) > MOST_LABELS:
        detail = f"An import has at most {MOST_LABELS} labels."
        raise UnprocessableError(
            detail, errors=(FieldError(pointer="/labels", code="too_long", detail=detail),)
        )
    return merged


async def cancel(session: AsyncSession, row: VmImport, *, force: bool = False) -> None:
    """Cancel, whatever the import does now; the row is locked. Once more is fine. Raises ImportEndedError."""
    if row.state in {ImportState.SUCCEEDED, ImportState.FAILED}:
        raise ImportEndedError(f"The import has {row.state} already.")
    if row.state == ImportState.CANCELLED:
        return
    row.force_cancel = row.force_cancel or force
    row.wakes += 1
    row.wake_at = now()
    if row.state == ImportState.CANCELLING:
        return
    timeline.note(session, row, "cancel_requested", force=force)
    has_nothing = waits(row)
    if row.state == ImportState.RUNNING or not has_nothing:
        move(row, ImportState.CANCELLING)
        calm(row)
    if has_nothing:
        await end(session, row, ImportState.CANCELLED)


async def retry(session: AsyncSession, row: VmImport, body: ImportRetry) -> None:
    """Queue the next attempt of a failed or cancelled import; the row is locked.

    Raises ImportNotRetryableError, UnknownReferenceError, UnsupportedPropertyError, NameInUseError.
    """
    if row.state not in {ImportState.FAILED, ImportState.CANCELLED}:
        raise ImportNotRetryableError(f"The import is {row.state}.")
    changes = body.model_dump(mode="json", exclude_none=True)
    row.spec = {**row.spec, **changes}
    spec = spec_from_row(row.spec, {})
    await references.check(session, spec)
    move(row, ImportState.QUEUED)
    if await attempts.numbered(session, row.id, row.attempt) is not None:
        row.attempt += 1
    row.direction = Direction.BACK if await attempts.left_behind(session, row) else Direction.FORWARD
    row.step = row.stage = None
    row.problem = row.finished_at = row.vm_id = None
    row.proxy_host_id, row.storage_domain_id = None, spec.storage_domain_id
    row.excluded_host_ids, row.force_cancel, row.automatic_retries = (), False, 0
    row.progress, row.disk_progress, row.warnings = Progress(), (), ()
    row.waiting_since, row.wake_at = now(), now()
    if spec.vm.name is not None:
        await vm_names.reserve(session, row.data_center_id, spec.vm.name, row.id)
    timeline.note(session, row, "retry_requested")


async def remove(session: AsyncSession, row: VmImport) -> None:
    """Forget an ended import; its VM stays. Raises ImportNotEndedError, InUseError."""
    if row.state in LIVE:
        raise ImportNotEndedError(f"The import is {row.state}.")
    kept = select(col(Vm.id)).where(col(Vm.import_id) == row.id, col(Vm.state) == VmState.ILLEGAL)
    if (vm_id := (await session.execute(kept)).scalars().first()) is not None:
        # Only the import's records say how to remove what it left of that VM.
        raise InUseError(f"VM {vm_id}, which the import left behind, uses it.")
    if await unmarked.of_imports(session, row.id):
        raise InUseError(
            "What its last attempt left on its proxy host has to be looked for first, as orphans."
        )
    await session.execute(update(Vm).where(col(Vm.import_id) == row.id).values(import_id=None))
    await session.execute(delete(VmImport).where(col(VmImport.id) == row.id))


# --- what clients see ------------------------------------------------------------------------------------


async def public(session: AsyncSession, row: VmImport) -> VmImportPublic:
    return (await publics(session, [row]))[0]


async def publics(session: AsyncSession, rows: Sequence[VmImport]) -> list[VmImportPublic]:
    tried = await attempts.of_imports(session, [row.id for row in rows])
    queue, late = await queue_statuses(session, rows), await retries(session, rows)
    return [
        _public(row, tried[row.id]).model_copy(
            update={"queue": queue.get(row.id), "retry": late.get(row.id, row.retry)}
        )
        for row in rows
    ]


def _public(row: VmImport, tried: Sequence[Attempt]) -> VmImportPublic:
    return VmImportPublic(
        id=row.id,
        state=ImportState(row.state),
        step=StepName(row.step) if row.step else None,
        stage=row.stage,
        queue=None,
        spec=ImportSpecPublic.from_row(row.spec),
        storage_domain_id=row.storage_domain_id,
        proxy_host_id=row.proxy_host_id,
        batch_id=row.batch_id,
        vm_id=row.vm_id,
        attempt=row.attempt,
        attempts=tuple(attempts.public(attempt) for attempt in tried),
        retry=row.retry,
        priority=row.priority,
        labels=row.labels,
        progress=row.progress,
        disk_progress=row.disk_progress,
        warnings=row.warnings + ((told,) if (told := records.warning(row)) else ()),
        problem=row.problem or _what_is_lost(row),
        created_by=row.created_by,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        version=row.version,
    )


def _what_is_lost(row: VmImport) -> Problem | None:
    if (error := records.fault(row)) is not None:
        return error.to_problem()
    return records.problem(f"import {row.id}", row) if row.state == ImportState.FAILED else None


# --- telling clients -------------------------------------------------------------------------------------


async def untold(session: AsyncSession, limit: int = 200) -> list[UUID]:
    """Imports whose newest version was not published."""
    statement = (
        select(col(VmImport.id)).where(col(VmImport.published_version) < col(VmImport.version)).limit(limit)
    )
    return list((await session.execute(statement)).scalars())


async def told(session: AsyncSession, import_id: UUID, version: int) -> None:
    await session.execute(
        update(VmImport)
        .where(col(VmImport.id) == import_id, col(VmImport.published_version) < version)
        .values(published_version=version)
    )


async def counts(session: AsyncSession) -> dict[str, int]:
    """How many imports are in each state."""
    statement = select(col(VmImport.state), func.count()).group_by(col(VmImport.state))
    found = dict((await session.execute(statement)).all())
    return {state: found.get(state, 0) for state in ImportState}
