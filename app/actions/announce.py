"""Tells clients an import's newest state."""

from uuid import UUID

from app.db import Database
from app.errors import NotFoundError
from app.events import Events
from app.models.state import ENDED
from app.services import imports


async def announce(database: Database, events: Events, import_id: UUID) -> None:
    """Publish what is committed, and note that it was. What fails now, the sweep makes up for."""
    async with database.reading() as session:
        try:
            row = await imports.get(session, import_id)
        except NotFoundError:
            return
        shown = await imports.public(session, row)
    published = await events.publish_import(
        shown.id,
        version=shown.version,
        ended=shown.state in ENDED,
        labels=shown.labels,
        data=shown.model_dump(mode="json"),
        progress_mark=(row.attempt, row.progress_seq),
    )
    if published and row.published_version < shown.version:
        async with database.session() as session:
            await imports.told(session, import_id, shown.version)
