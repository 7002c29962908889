"""Checks a provider: whether it can be reached and logged in to, and what it is."""

from uuid import UUID

from app.actions.provider_way import ssh_place
from app.actions.providers import Providers
from app.errors import (
    AppError,
    HostError,
    ProviderCertificateError,
    ProviderError,
    ProviderKeyMismatchError,
    ProviderKeyUnverifiedError,
    ProviderThumbprintError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)
from app.models.columns import now
from app.models.providers import Provider, ProviderState, ProviderStatus
from app.providers.base import ProviderAccess
from app.proxy.host_keys import fingerprint
from app.services import providers

UNREACHABLE = (
    ProviderUnreachableError,
    ProviderTimeoutError,
    ProviderThumbprintError,
    ProviderKeyMismatchError,
    HostError,
)


async def check_provider(asking: Providers, provider_id: UUID) -> Provider:
    """Ask the provider now and save what is found. Raises NotFoundError."""
    async with asking.database.reading() as session:
        row = await providers.get(session, provider_id)
    status = await _found(asking, row)
    async with asking.database.session() as session:
        return await providers.save_status(session, provider_id, row.version, status)


async def _found(asking: Providers, row: Provider) -> ProviderStatus:
    """What is found now; a failure is told in the status."""
    try:
        access = asking.access_of(row)
        if access.ssh is not None and access.ssh.host_key is None and ssh_place(access) is not None:
            return await _unverified(asking, access)
        found = await asking.check(access)
    except AppError as error:
        return _failed(row, error)
    return _with_key(access).model_copy(
        update={"state": ProviderState.UP, "product": found.product, "version": found.version}
    )


async def _unverified(asking: Providers, access: ProviderAccess) -> ProviderStatus:
    """The key that the host offers, for an administrator to compare."""
    key = await asking.offered_key(access)
    return ProviderStatus(
        state=ProviderState.UNVERIFIED,
        problem=ProviderKeyUnverifiedError().to_problem(),
        checked_at=now(),
        offered_host_key=key,
        fingerprint=fingerprint(key),
    )


def _with_key(access: ProviderAccess) -> ProviderStatus:
    key = access.ssh.host_key if access.ssh is not None else None
    return ProviderStatus(
        checked_at=now(), offered_host_key=key, fingerprint=fingerprint(key) if key is not None else None
    )


def _failed(row: Provider, error: AppError) -> ProviderStatus:
    """What was known of the provider stays known."""
    update = {"state": _state(error), "problem": error.to_problem(), "checked_at": now()}
    if isinstance(error, ProviderError) and error.offered_thumbprint is not None:
        update["offered_thumbprint"] = error.offered_thumbprint
    return row.status.model_copy(update=update)


def _state(error: AppError) -> ProviderState:
    if isinstance(error, UNREACHABLE):
        return ProviderState.UNREACHABLE
    if isinstance(error, ProviderCertificateError):
        return ProviderState.UNVERIFIED
    return ProviderState.UNUSABLE
