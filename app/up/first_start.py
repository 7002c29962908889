"""Prepares the data directory: one `up` at a time, the schema, and the first admin token."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from app.db import Database, is_newer, migrate, mismatch, newest_version
from app.models.state import Role
from app.models.tokens import ApiTokenCreate
from app.services import tokens
from app.up.refusal import RefusedError

TOKEN_FILE: Final = "admin-token"  # noqa: S105  # a file name


@contextlib.contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """The directory (0700), used by this process alone. Raises RefusedError when another one uses it."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        data_dir.chmod(0o700)
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RefusedError(f"The data directory {data_dir} can't be used: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RefusedError(f"Another `v2v-import up` runs with the data directory {data_dir}.") from error
    finally:
        os.close(lock)


async def bring_schema_up(database: Database) -> None:
    """Raises RefusedError for a database that is newer than this program, or can't be reached."""
    try:
        found = await database.schema_version()
    except Exception as error:  # whatever the driver says, the operator is to read it
        raise RefusedError(f"The database can't be used: {error}") from error
    if found == newest_version():
        return
    if is_newer(found):
        refused = mismatch(found)
        raise RefusedError(f"{refused.detail} {refused.own_hint}")
    await asyncio.to_thread(migrate, database.url)


async def write_first_token(database: Database, data_dir: Path) -> Path:
    """At the first start, when there is no token yet, make one for an admin and write it to a file (0600)."""
    path = data_dir / TOKEN_FILE
    async with database.session() as session:
        if await tokens.exists(session):
            return path
        _, token = await tokens.create(session, ApiTokenCreate(name="admin", role=Role.ADMIN))
        # Written before the commit: a token that is in the database alone would be lost to everybody.
        _write_private(path, token + "\n")
    return path


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
