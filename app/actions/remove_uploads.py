"""Removes what nobody needs any more of uploads from their proxy hosts."""

import asyncio
from collections.abc import Sequence

from app.actions.create_upload import UploadTools
from app.errors import AppError, NotFoundError
from app.models.uploads import Upload
from app.services import uploads

AT_ONCE = 8
"""Proxy hosts that are asked at the same time."""


async def clear_uploads(tools: UploadTools) -> None:
    """End those whose time is over, then remove what there is to remove. What can't be, is the next one's."""
    async with tools.database.session() as session:
        await uploads.expire(session)
    async with tools.database.reading() as session:
        over = await uploads.to_remove(session)
    limit = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for host_id in {upload.proxy_host_id for upload in over}:
            here = [upload for upload in over if upload.proxy_host_id == host_id]
            group.create_task(_clear_host(tools, here, limit))


async def _clear_host(tools: UploadTools, here: Sequence[Upload], limit: asyncio.Semaphore) -> None:
    async with limit:
        for upload in here:
            if not await remove_upload(tools, upload):
                return


async def remove_upload(tools: UploadTools, upload: Upload) -> bool:
    """True when nothing of it is left. False: the host can't be asked now; it is for the sweep, later."""
    try:
        await (await tools.agent(upload.proxy_host_id)).remove_upload(upload.id)
    except NotFoundError:
        # The record of the host is gone, and the way to the file with it.
        pass
    except AppError:
        return False
    async with tools.database.session() as session:
        await uploads.removed(session, upload.id)
    return True
