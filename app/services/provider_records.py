"""Providers' records, opened: how a provider is reached, by what its row says."""

from uuid import UUID

from pydantic import SecretStr, ValidationError

from app.errors import RecordUnreadableError
from app.models.common import Shape
from app.models.providers import Provider, SshIdentity, TlsChecks
from app.providers import kind_of, parse_url
from app.providers.base import ProviderAccess, SshAccess
from app.providers.urls import ProviderUrl
from app.secrets import Sealer
from app.services import records


def context(provider_id: UUID) -> str:
    """Binds sealed secrets to their row."""
    return f"providers:{provider_id}"


def access(row: Provider, sealer: Sealer, *, allows_local: bool) -> ProviderAccess:
    """How the provider is reached. Raises RecordUnreadableError, InvalidProviderUrlError, SealError."""
    url, options = opened(row, allows_local=allows_local)
    found = secrets(row, sealer)
    return ProviderAccess(
        id=row.id,
        name=row.name,
        kind=row.kind,
        url=url,
        username=row.username,
        password=found.get("password"),
        ssh=_ssh(row.ssh, found),
        tls=row.tls or TlsChecks(),
        options=options,
        proxy_host_id=row.proxy_host_id,
    )


def _ssh(identity: SshIdentity | None, found: dict[str, SecretStr]) -> SshAccess | None:
    if identity is None:
        return None
    return SshAccess(
        username=identity.username,
        private_key=found.get("ssh_private_key"),
        password=found.get("ssh_password"),
        host_key=identity.host_key,
    )


def secrets(row: Provider, sealer: Sealer) -> dict[str, SecretStr]:
    """By name: `password`, `ssh_private_key`, `ssh_password`. Raises SealError."""
    return sealer.open(row.sealed_secrets, context(row.id))


def opened(row: Provider, *, allows_local: bool = True) -> tuple[ProviderUrl, Shape]:
    """The URL in parts, and the kind's options. Raises RecordUnreadableError, InvalidProviderUrlError.

    Whether a local one is allowed matters to those who ask the provider; others only look at its record.
    """
    what = f"provider {row.name!r}"
    # A pin that can't be read must not pass for none.
    records.check(what, row, {"ssh", "tls", "options"})
    kind = kind_of(row.kind)
    url = parse_url(kind, row.url, allows_local=allows_local)
    try:
        return url, kind.Options.model_validate(row.options)
    except ValidationError as error:
        raise RecordUnreadableError(f"The record of {what} is none that this program knows.") from error
