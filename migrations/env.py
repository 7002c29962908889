"""Runs the migrations on the URL that `app.db.migrate` gives, or V2V_IMPORT_DATABASE_URL by hand."""

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, event, text
from sqlmodel import SQLModel

from app.db import lock_migrations, make_engine
from app.models.tables import TABLES
from app.settings import Settings

assert TABLES  # noqa: S101  every table must be known before the schemas are compared


def _without_foreign_keys(connection: Any, _: Any) -> None:
    # A table that is changed is made anew on SQLite, and dropping the old one would delete what refers to it.
    connection.execute("PRAGMA foreign_keys=OFF")


def _run(connection: Connection) -> None:
    lock_migrations(connection)
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()
    if connection.dialect.name == "sqlite":
        lost = connection.execute(text("PRAGMA foreign_key_check")).all()
        assert not lost, lost  # noqa: S101  # the transaction ends with this


async def _migrate() -> None:
    url = context.config.attributes.get("url") or Settings().resolved_database_url()
    engine = make_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _without_foreign_keys)
    async with engine.begin() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


asyncio.run(_migrate())
