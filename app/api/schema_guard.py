"""Whether the database's schema is this program's: known before each request, looked at all the time."""

import asyncio
from typing import Final

from app import logs
from app.db import Database, is_unavailable
from app.errors import SchemaMismatchError

LOOK_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 2.0

log = logs.get("api")


class SchemaGuard:
    """A schema may move under a process that runs: beside it, a newer program migrates."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._mismatch: SchemaMismatchError | None = None

    def check(self) -> None:
        """Raises SchemaMismatchError."""
        if self._mismatch is not None:
            raise SchemaMismatchError(self._mismatch.detail, hint=self._mismatch.own_hint)

    async def look(self) -> SchemaMismatchError | None:
        """Ask the database now. While it is away, what was known stays known."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._database.check_schema()
        except SchemaMismatchError as error:
            if self._mismatch is None:
                log.warning("api.schema_mismatch", error=error.detail, hint=error.own_hint)
            self._mismatch = error
        except Exception as error:
            if not isinstance(error, TimeoutError) and not is_unavailable(error):
                raise
        else:
            if self._mismatch is not None:
                log.info("api.schema_matches")
            self._mismatch = None
        return self._mismatch

    async def keep_looking(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)
