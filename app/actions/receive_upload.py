"""Passes an upload's bytes on to its proxy host as they come, and keeps the record of how far they are."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

from app.actions.create_upload import UploadTools
from app.errors import (
    AppError,
    HostError,
    NotFoundError,
    RequestTimeoutError,
    UploadLostError,
    UploadOffsetError,
    UploadTooLongError,
)
from app.models.uploads import Upload, UploadState
from app.proxy.uploads import Checksum
from app.services import uploads

SILENCE_SECONDS = 30.0
"""A client that sends nothing for so long has gone; what came until then stays."""


async def receive_upload(
    tools: UploadTools,
    upload: Upload,
    chunks: AsyncIterator[bytes],
    *,
    offset_bytes: int,
    announced_bytes: int | None,
    checksum: Checksum | None,
) -> Upload:
    """The record after all that came; a stream that just ends is one that a client has broken off.

    Raises UploadExpiredError, UploadLostError, UploadOffsetError, UploadTooLongError, UploadLockedError,
    UploadChecksumError, RequestTimeoutError, NoRoomError, HostError.
    """
    uploads.check_alive(upload)
    if upload.state == UploadState.COMPLETE and offset_bytes != upload.length_bytes:
        raise UploadOffsetError(f"The upload is complete, at {upload.length_bytes}.")
    if announced_bytes is not None and offset_bytes + announced_bytes > upload.length_bytes:
        raise UploadTooLongError(f"The upload has {upload.length_bytes} bytes; this would lead beyond them.")
    agent = await tools.agent(upload.proxy_host_id)
    try:
        async with agent.receive_upload(upload.id, offset_bytes, checksum) as receiving:
            came = offset_bytes
            saved_at = time.monotonic()
            async for data in _lively(chunks):
                await receiving.send(data)
                came += len(data)
                if checksum is None and time.monotonic() - saved_at > tools.settings.progress_save_seconds:
                    await _note(tools, upload.id, min(came, upload.length_bytes - 1))
                    saved_at = time.monotonic()
            return await _note(tools, upload.id, await receiving.finish())
    except UploadLostError:
        await _lose(tools, upload.id)
        raise
    except AppError:
        await _note_what_stayed(tools, upload)
        raise


async def look_at_upload(tools: UploadTools, upload: Upload) -> Upload:
    """The record as its host tells it now. Raises UploadExpiredError, UploadLostError, HostError."""
    uploads.check_alive(upload)
    agent = await tools.agent(upload.proxy_host_id)
    try:
        offset_bytes = await agent.upload_offset(upload.id)
    except UploadLostError:
        await _lose(tools, upload.id)
        raise
    if offset_bytes == upload.offset_bytes and upload.state != UploadState.LOST:
        return upload
    return await _note(tools, upload.id, offset_bytes)


async def _lively(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                data = await anext(chunks, None)
        except TimeoutError as error:
            raise RequestTimeoutError(f"Nothing came for {SILENCE_SECONDS:g} s.") from error
        if data is None:
            return
        yield data


async def _note(tools: UploadTools, upload_id: UUID, offset_bytes: int) -> Upload:
    async with tools.database.session() as session:
        upload = await uploads.get_locked(session, upload_id)
        uploads.note_offset(upload, offset_bytes, tools.settings.upload_lifetime_seconds)
        return upload


async def _lose(tools: UploadTools, upload_id: UUID) -> None:
    async with tools.database.session() as session:
        uploads.lose(await uploads.get_locked(session, upload_id))


async def _note_what_stayed(tools: UploadTools, upload: Upload) -> None:
    """The reservation of room goes by the record, so it is put right; what fails now, the next look mends."""
    try:
        agent = await tools.agent(upload.proxy_host_id)
        await _note(tools, upload.id, await agent.upload_offset(upload.id))
    except (HostError, NotFoundError, UploadLostError):
        return
