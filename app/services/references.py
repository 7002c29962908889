"""What an import request refers to: it must be there, and fit together."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import FieldError, UnknownReferenceError, UnsupportedPropertyError
from app.models.data_centers import DataCenter
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import StorageDomain
from app.services import storage_domains, vm_names
from app.services.specs import VmImportCreate
from app.sources import source_of


def unknown(pointer: str, detail: str) -> UnknownReferenceError:
    """What the body refers to at `pointer` isn't there."""
    fault = FieldError(pointer=pointer, code="unknown_reference", detail=detail)
    return UnknownReferenceError(detail, errors=(fault,))


async def check(session: AsyncSession, body: VmImportCreate) -> UUID:
    """The data center of the request, when everything it names is there and fits together.

    Raises UnknownReferenceError, UnsupportedPropertyError, InvalidNameError, RecordUnreadableError.
    """
    domain, data_center_id = await _target(session, body)
    if body.proxy_host_id is not None:
        host = await session.get(ProxyHost, body.proxy_host_id)
        if host is None or host.data_center_id != data_center_id:
            raise unknown("/proxy_host_id", "There is no such proxy host in the data center.")
    _check_supported(body, domain)
    if body.vm.name is not None:
        vm_names.check(body.vm.name)
    return data_center_id


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
