"""Runs the migrations on the URL that `app.db.migrate` gives, or V2V_IMPORT_DATABASE_URL by hand."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlmodel import SQLModel

from app.db import make_engine
from app.models import TABLES
from app.settings import Settings

assert TABLES  # noqa: S101  every table must be known before the schemas are compared


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


async def _migrate() -> None:
    url = context.config.attributes.get("url") or Settings().resolved_database_url()
    engine = make_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


asyncio.run(_migrate())
