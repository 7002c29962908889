"""What an import request refers to: it must be there, and fit together."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import FieldError, NoProxyHostError, UnknownReferenceError, UnsupportedPropertyError
from app.models.data_centers import DataCenter
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import StorageDomain
from app.services import storage_domains, uploads, vm_names
from app.services.specs import VmImportCreate
from app.sources import source_of

METADATA = "header:Upload-Metadata"
"""Where an upload names its place."""


def unknown(pointer: str, detail: str) -> UnknownReferenceError:
    """What the body refers to at `pointer` isn't there."""
    fault = FieldError(pointer=pointer, code="unknown_reference", detail=detail)
    return UnknownReferenceError(detail, errors=(fault,))


async def proxy_host(session: AsyncSession, host_id: UUID) -> ProxyHost:
    """The proxy host that the metadata of an upload names. Raises UnknownReferenceError, NoProxyHostError."""
    host = await session.get(ProxyHost, host_id)
    if host is None:
        raise unknown(METADATA, "There is no such proxy host.")
    if not host.enabled:
        raise NoProxyHostError(f"Proxy host {host.name!r} is disabled.")
    return host


async def data_center(session: AsyncSession, center_id: UUID | None) -> DataCenter:
    """The data center that the metadata of an upload names. Raises UnknownReferenceError."""
    center = await session.get(DataCenter, center_id)
    if center is None:
        raise unknown(METADATA, "There is no such data center.")
    return center


async def check(session: AsyncSession, body: VmImportCreate) -> UUID:
    """The data center of the request, when everything it names is there and fits together.

    Raises UnknownReferenceError, UnsupportedPropertyError, UploadNotCompleteError, InvalidNameError,
    RecordUnreadableError.
    """
    domain, data_center_id = await _target(session, body)
    if body.proxy_host_id is not None:
        host = await session.get(ProxyHost, body.proxy_host_id)
        if host is None or host.data_center_id != data_center_id:
            raise unknown("/proxy_host_id", "There is no such proxy host in the data center.")
    if ids := uploads.ids_in(body.source):
        await uploads.check_usable(session, ids, host_id=body.proxy_host_id, data_center_id=data_center_id)
    _check_supported(body, domain)
    if body.vm.name is not None:
        vm_names.check(body.vm.name)
    return data_center_id


async def bound(session: AsyncSession, body: VmImportCreate) -> VmImportCreate:
    """The request as it is carried out: one that takes uploads runs where these are. To be checked first."""
    ids = uploads.ids_in(body.source)
    if not ids:
        return body
    return body.model_copy(update={"proxy_host_id": (await uploads.get(session, ids[0])).proxy_host_id})


async def _target(session: AsyncSession, body: VmImportCreate) -> tuple[StorageDomain | None, UUID]:
    if body.storage_domain_id is not None:
        domain = await session.get(StorageDomain, body.storage_domain_id)
        if domain is None:
            raise unknown("/storage_domain_id", "There is no such storage domain.")
        return domain, domain.data_center_id
    center = await session.get(DataCenter, body.data_center_id)
    if center is None:
        raise unknown("/data_center_id", "There is no such data center.")
    return None, center.id


def _check_supported(body: VmImportCreate, domain: StorageDomain | None) -> None:
    faults = list(source_of(body.source.kind).unsupported(body))
    if domain is not None:
        destination, _ = storage_domains.opened(domain)
        faults += destination.unsupported(body)
    if faults:
        errors = tuple(
            FieldError(pointer=pointer, code="unsupported_property", detail=detail)
            for pointer, detail in faults
        )
        raise UnsupportedPropertyError(errors[0].detail, errors=errors)
