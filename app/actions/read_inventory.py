"""Reads providers' inventories: one reading at a time for each, however many ask for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from app import logs
from app.actions.providers import Providers
from app.db import Session
from app.errors import AppError, NotFoundError, ProviderTimeoutError, UnavailableError, error_of
from app.models.providers import Provider
from app.models.source_vms import ListedVm, SourceVmSummary
from app.providers.base import ProviderAccess
from app.services import inventories, providers
from app.services.source_vms import summed_up

LATER_SECONDS = 60.0
"""A reading that is so much over its deadline is taken for dead, with its process."""
LOOK_SECONDS = 0.2
"""How often to look whether another process has read it."""

log = logs.get("inventories")


class Inventories:
    """The readings of this process. They outlive the requests that asked for them."""

    def __init__(self, asking: Providers) -> None:
        self._asking = asking
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    async def begin(self, provider_id: UUID) -> Provider:
        """Begin to read, unless somebody does already. The provider as it is then.

        Raises NotFoundError, RecordUnreadableError, SealError.
        """
        access = await self._asking.access(provider_id)
        async with self._asking.database.session() as session:
            row = await providers.get_locked(session, provider_id)
            reading_id = inventories.begin(row, seconds=self._seconds)
        if reading_id is not None:
            reading = self._read(access, reading_id)
            task = asyncio.create_task(reading, name=f"read the inventory of {access.name}")
            self._tasks[provider_id] = task
            task.add_done_callback(lambda ended: self._forget(provider_id, ended))
        return row

    async def first(self, provider_id: UUID) -> Provider:
        """The provider, once it has an inventory; who asks first has it read.

        Raises NotFoundError, ProviderTimeoutError, and what the reading failed of.
        """
        row = await self._row(provider_id)
        if row.vm_count is not None:
            return row
        await self.begin(provider_id)
        try:
            async with asyncio.timeout(self._seconds):
                row = await self._when_read(provider_id)
        except TimeoutError as error:
            raise ProviderTimeoutError("The inventory of the provider is still being read.") from error
        if row.vm_count is None and row.inventory_problem is not None:
            raise error_of(row.inventory_problem)
        return row

    async def close(self) -> None:
        """End what this process reads; another one may begin when that is taken for dead."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _forget(self, provider_id: UUID, ended: asyncio.Task[None]) -> None:
        if self._tasks.get(provider_id) is ended:
            del self._tasks[provider_id]

    @property
    def _seconds(self) -> float:
        return self._asking.settings.provider_listing_seconds + LATER_SECONDS

    async def _row(self, provider_id: UUID) -> Provider:
        async with self._asking.database.reading() as session:
            return await providers.get(session, provider_id)

    async def _when_read(self, provider_id: UUID) -> Provider:
        while inventories.is_reading(row := await self._row(provider_id)):
            task = self._tasks.get(provider_id)
            await asyncio.wait({task}) if task else await asyncio.sleep(LOOK_SECONDS)
        return row

    async def _read(self, access: ProviderAccess, reading_id: UUID) -> None:
        """The task of one reading: what comes of it is on the provider."""
        try:
            listed = await self._asking.list_vms(access)
            # Ten thousand VMs are a second of work: too long for the loop that serves everybody.
            found = await asyncio.to_thread(_summed_up, listed)
        except asyncio.CancelledError:
            await asyncio.shield(self._fail(access.id, reading_id, UnavailableError("The service stopped.")))
            raise
        except Exception as error:  # noqa: BLE001  # the top of a task: whatever it is, it is on the provider
            await self._fail(access.id, reading_id, _told(access, error))
        else:
            async with self._held(access.id, reading_id) as (session, row):
                if row is not None:
                    await inventories.replace(session, row, found)

    async def _fail(self, provider_id: UUID, reading_id: UUID, error: AppError) -> None:
        async with self._held(provider_id, reading_id) as (_, row):
            if row is not None:
                inventories.fail(row, error)

    @asynccontextmanager
    async def _held(
        self, provider_id: UUID, reading_id: UUID
    ) -> AsyncIterator[tuple[Session, Provider | None]]:
        """The provider's row in one transaction; None when the reading is not its own any more."""
        async with self._asking.database.session() as session:
            try:
                row = await providers.get_locked(session, provider_id)
            except NotFoundError:
                yield session, None
            else:
                yield session, row if row.reading_id == reading_id else None


def _summed_up(listed: Sequence[ListedVm]) -> list[SourceVmSummary]:
    return [summed_up(vm) for vm in listed]


def _told(access: ProviderAccess, error: Exception) -> AppError:
    if isinstance(error, AppError):
        log.info("inventory.failed", provider_id=str(access.id), code=error.code, error=error.detail)
        return error
    log.error("inventory.unexpected", provider_id=str(access.id), exc_info=error)
    return AppError("Something unexpected happened; the service's log has the details.")
