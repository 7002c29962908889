"""What an import request refers to: it must be there, and fit together."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import FieldError, NoProxyHostError, UnknownReferenceError, UnsupportedPropertyError
from app.models.data_centers import DataCenter
from app.models.providers import Provider
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import StorageDomain
from app.services import provider_records, storage_domains, uploads, vm_names
from app.services.specs import VmImportCreate
from app.sources import source_of
from app.sources.provider_vm import provider_id_in
from app.sources.provider_vms import provider_source_of

METADATA = "header:Upload-Metadata"
"""Where an upload names its place."""


def unknown(pointer: str, detail: str) -> UnknownReferenceError:
    """What the body refers to at `pointer` isn't there."""
    fault = FieldError(pointer=pointer, code="unknown_reference", detail=detail)
    return UnknownReferenceError(detail, errors=(fault,))


async def hold_proxy_host(session: AsyncSession, host_id: UUID) -> None:
    """Keep the proxy host that a body names until the transaction ends. Raises UnknownReferenceError."""
    lock = {"read": True, "key_share": True}
    if await session.get(ProxyHost, host_id, with_for_update=lock) is None:
        raise unknown("/proxy_host_id", "There is no such proxy host.")


async def proxy_host(session: AsyncSession, host_id: UUID | None, pointer: str = METADATA) -> ProxyHost:
    """The proxy host that is named at `pointer`. Raises UnknownReferenceError, NoProxyHostError."""
    host = await session.get(ProxyHost, host_id)
    if host is None:
        raise unknown(pointer, "There is no such proxy host.")
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
    _check_supported(body, domain, await _provider(session, body, data_center_id))
    if body.vm.name is not None:
        vm_names.check(body.vm.name)
    return data_center_id


async def bound(session: AsyncSession, body: VmImportCreate) -> VmImportCreate:
    """The request as it is carried out: one that takes uploads runs where these are, one of a provider where
    that is reached from, unless it names a proxy host itself. To be checked first.
    """
    provider_id = provider_id_in(body.source)
    if provider_id is not None and body.proxy_host_id is None:
        return body.model_copy(update={"proxy_host_id": (await provider(session, provider_id)).proxy_host_id})
    ids = uploads.ids_in(body.source)
    if not ids:
        return body
    return body.model_copy(update={"proxy_host_id": (await uploads.get(session, ids[0])).proxy_host_id})


async def provider(session: AsyncSession, provider_id: UUID) -> Provider:
    """The provider that a source names; it stays until the transaction ends. Raises UnknownReferenceError."""
    lock = {"read": True, "key_share": True}
    found = await session.get(Provider, provider_id, with_for_update=lock)
    if found is None:
        raise unknown("/source/provider_id", "There is no such provider.")
    return found


async def _provider(session: AsyncSession, body: VmImportCreate, data_center_id: UUID) -> Provider | None:
    """The provider that the source names, if the request can reach it."""
    provider_id = provider_id_in(body.source)
    if provider_id is None:
        return None
    found = await provider(session, provider_id)
    if body.proxy_host_id is None and found.proxy_host_id is not None:
        host = await session.get(ProxyHost, found.proxy_host_id)
        if host is None or host.data_center_id != data_center_id:
            detail = "It is reached through a proxy host of another data center: name one of this here."
            fault = FieldError(pointer="/proxy_host_id", code=UnsupportedPropertyError.code, detail=detail)
            raise UnsupportedPropertyError(detail, errors=(fault,))
    return found


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


def _check_supported(body: VmImportCreate, domain: StorageDomain | None, provider: Provider | None) -> None:
    faults = list(source_of(body.source.kind).unsupported(body))
    if provider is not None:
        url, options = provider_records.opened(provider)
        faults += provider_source_of(provider.kind).unsupported(url, options, body)
    if domain is not None:
        destination, _ = storage_domains.opened(domain)
        faults += destination.unsupported(body)
    if faults:
        errors = tuple(
            FieldError(pointer=pointer, code="unsupported_property", detail=detail)
            for pointer, detail in faults
        )
        raise UnsupportedPropertyError(errors[0].detail, errors=errors)
