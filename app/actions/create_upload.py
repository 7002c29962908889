"""Makes an upload: chooses a proxy host with room, holds the room, and makes the empty file there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from app.db import Database, Session, lock_admission
from app.errors import AppError, HostError, NoProxyHostError, NoRoomError, UploadTooLongError
from app.models.columns import now
from app.models.proxy_hosts import HostState, ProxyHost
from app.models.uploads import Upload
from app.proxy.agent_client import HostAgent
from app.proxy.pool import ProxyPool
from app.secrets import Sealer
from app.services import proxy_hosts, references, uploads
from app.services.placement import WORK_BYTES_AT_LEAST, current_load
from app.settings import Settings


@dataclass(frozen=True)
class UploadWish:
    """What a client asks for; exactly one of the two places is given."""

    file_name: str
    metadata_text: str
    length_bytes: int
    proxy_host_id: UUID | None
    data_center_id: UUID | None
    created_by: str


@dataclass(frozen=True)
class UploadTools:
    """What uploads need of the application."""

    database: Database
    sealer: Sealer
    proxies: ProxyPool
    settings: Settings

    async def agent(self, host_id: UUID) -> HostAgent:
        """Raises NotFoundError, HostError."""
        async with self.database.reading() as session:
            host = await proxy_hosts.get(session, host_id)
        return await self.proxies.agent(proxy_hosts.host_address(host, self.sealer))


async def create_upload(tools: UploadTools, wish: UploadWish) -> Upload:
    """Raises UploadTooLongError, UnknownReferenceError, NoProxyHostError, NoRoomError, HostError."""
    if wish.length_bytes > tools.settings.upload_limit_bytes:
        raise UploadTooLongError(f"An upload may have {tools.settings.upload_limit_bytes} bytes.")
    async with tools.database.reading() as session:
        hosts = await _candidates(session, wish)
    failures: list[AppError] = []
    for host in hosts:
        try:
            return await _make(tools, wish, host)
        except (HostError, NoRoomError) as error:
            failures.append(error)
    raise _most_telling(failures)


def _most_telling(failures: Sequence[AppError]) -> AppError:
    """A host without room is an answer; one that can't be asked may have some."""
    unasked = [error for error in failures if isinstance(error, HostError)]
    return (unasked or failures or [NoProxyHostError("No proxy host of the data center is up.")])[0]


async def _candidates(session: Session, wish: UploadWish) -> list[ProxyHost]:
    """The host that was named, or those of the data center that are up, the roomiest first."""
    if wish.proxy_host_id is not None:
        return [await references.proxy_host(session, wish.proxy_host_id)]
    center = await references.data_center(session, wish.data_center_id)
    load = await current_load(session)
    hosts = await proxy_hosts.of_data_center(session, center.id)
    return sorted(
        (host for host in hosts if host.status.state is HostState.UP),
        key=lambda host: load.bytes[host.id] - (host.status.free_bytes or 0),
    )


async def _make(tools: UploadTools, wish: UploadWish, host: ProxyHost) -> Upload:
    agent = await tools.proxies.agent(proxy_hosts.host_address(host, tools.sealer))
    async with tools.database.session() as session:
        upload, others_bytes = await _record(session, wish, host, tools.settings.upload_lifetime_seconds)
    try:
        await agent.create_upload(upload.id, upload.file_name, upload.length_bytes, others_bytes=others_bytes)
    except AppError as error:
        async with tools.database.session() as session:
            # What was made of it before the host failed is removed by the sweep.
            await uploads.give_up(session, upload.id, on_host=not isinstance(error, NoRoomError))
        raise
    return upload


async def _record(
    session: Session, wish: UploadWish, host: ProxyHost, lifetime_seconds: float
) -> tuple[Upload, int]:
    """Put it on record, which holds its room; and the bytes that imports and other uploads hold there.

    Raises NotFoundError.
    """
    await lock_admission(session)
    await proxy_hosts.get_locked(session, host.id)
    others_bytes = WORK_BYTES_AT_LEAST + (await current_load(session)).bytes[host.id]
    upload = Upload(
        file_name=wish.file_name,
        metadata_text=wish.metadata_text,
        length_bytes=wish.length_bytes,
        proxy_host_id=host.id,
        created_by=wish.created_by,
        expires_at=now() + timedelta(seconds=lifetime_seconds),
    )
    uploads.add(session, upload)
    return upload, others_bytes
