"""Providers: made, read, changed, removed, reached, and how they were found."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from pydantic import SecretStr, ValidationError
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.db import lock_admission
from app.errors import (
    FieldError,
    NotFoundError,
    SecretsNeededError,
    UnsupportedPropertyError,
    json_pointer,
)
from app.models.common import Json, Shape
from app.models.imports import VmImport
from app.models.providers import (
    Provider,
    ProviderPublic,
    ProviderState,
    ProviderStatus,
    SshIdentity,
    SshPublic,
    TlsChecks,
)
from app.providers import kind_of, parse_url
from app.providers.urls import ProviderUrl, Reach
from app.secrets import Sealer
from app.services import inventories, names, provider_records, records, references, users

MOVES: Final = frozenset({"url", "proxy_host_id", "ssh", "tls"})
"""What says where secrets are sent and who may read them: a change of these has to bring them again."""
PLACES: Final = frozenset({"url", "proxy_host_id"})
"""What must not change under live imports."""
FOUND_BY: Final = MOVES | {"username", "password", "options"}
"""What a check depends on."""
AT: Final[Mapping[str, str]] = {
    "password": "/password",
    "ssh_private_key": "/ssh/private_key",
    "ssh_password": "/ssh/password",
}
"""The secrets by their sealed names, and where a request has them."""

Secrets = dict[str, SecretStr | None]


async def create(session: AsyncSession, body: Any, sealer: Sealer, *, allows_local: bool) -> Provider:
    """`body` is one of the kinds' create shapes.

    Raises InvalidProviderUrlError, UnsupportedPropertyError, UnknownReferenceError, NameInUseError.
    """
    row = _row(body, allows_local=allows_local)
    await _hold_host(session, row.proxy_host_id)
    ssh = body.ssh
    given: Secrets = {"password": body.password}
    if ssh is not None:
        given |= {"ssh_private_key": ssh.private_key, "ssh_password": ssh.password}
    _seal(row, given, sealer)
    return await names.add(session, row)


def _row(body: Any, *, allows_local: bool) -> Provider:
    url = parse_url(kind_of(body.kind), body.url, allows_local=allows_local)
    ssh = SshIdentity(username=body.ssh.username, host_key=body.ssh.host_key) if body.ssh else None
    _check_fits(body.kind, url, body.options, ssh, body.proxy_host_id)
    return Provider(
        name=body.name,
        kind=body.kind,
        url=str(url),
        username=body.username,
        ssh=ssh,
        tls=body.tls,
        proxy_host_id=body.proxy_host_id,
        options=body.options.model_dump(mode="json"),
        max_concurrent_imports=body.max_concurrent_imports,
    )


def _check_fits(
    kind: str, url: ProviderUrl, options: Shape, ssh: SshIdentity | None, proxy_host_id: UUID | None
) -> None:
    """Raises UnsupportedPropertyError for what would leave no way to the provider."""
    if ssh is None and kind_of(kind).needs_ssh(url, options):
        raise _unfit("/ssh", "The provider is reached by SSH, which needs a login: give `ssh`.")
    if url.username is not None and ssh is not None and url.username != ssh.username:
        raise _unfit("/ssh/username", "The URL names another user.")
    if proxy_host_id is not None and url.reach is Reach.LOCAL:
        raise _unfit("/proxy_host_id", "What is on the service's machine is not reached through another one.")


def _unfit(pointer: str, detail: str) -> UnsupportedPropertyError:
    fault = FieldError(pointer=pointer, code=UnsupportedPropertyError.code, detail=detail)
    return UnsupportedPropertyError(detail, errors=(fault,))


async def _hold_host(session: AsyncSession, host_id: UUID | None) -> None:
    if host_id is not None:
        await references.hold_proxy_host(session, host_id)


def _seal(row: Provider, given: Secrets, sealer: Sealer) -> None:
    secrets = {name: value for name, value in given.items() if value is not None}
    row.sealed_secrets = sealer.seal(secrets, provider_records.context(row.id)) if secrets else None
    row.has_password = "password" in secrets
    row.has_ssh_private_key = "ssh_private_key" in secrets
    row.has_ssh_password = "ssh_password" in secrets


async def get(session: AsyncSession, provider_id: UUID) -> Provider:
    """Raises NotFoundError."""
    row = await session.get(Provider, provider_id)
    if row is None:
        raise NotFoundError(f"There is no provider {provider_id}.")
    return row


async def get_locked(session: AsyncSession, provider_id: UUID) -> Provider:
    """As `get`, and nobody else changes it until the transaction ends."""
    await session.get(Provider, provider_id, with_for_update=True, populate_existing=True)
    return await get(session, provider_id)


async def page(
    session: AsyncSession,
    *,
    kind: str | None = None,
    name: str | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[Provider]:
    """Newest first; `before` is the last one of the page before."""
    statement = select(Provider).order_by(col(Provider.id).desc()).limit(limit)
    if kind is not None:
        statement = statement.where(col(Provider.kind) == kind)
    if name is not None:
        statement = statement.where(col(Provider.name) == name)
    if before is not None:
        statement = statement.where(col(Provider.id) < before)
    return list((await session.execute(statement)).scalars())


# --- changes ---------------------------------------------------------------------------------------------


async def patch(
    session: AsyncSession, row: Provider, given: Json, sealer: Sealer, *, allows_local: bool
) -> bool:
    """Change what was given (merge patches, also within `ssh`, `tls` and `options`). True: check it anew.

    What is admitted later keeps to it. Raises SecretsNeededError when secrets would be sent elsewhere,
    InUseError when it would move under its live imports, NameInUseError, and what `create` raises.
    """
    await lock_admission(session)
    changed = _changed(row, given, allows_local=allows_local)
    secrets = _secrets_in(given)
    if MOVES & changed.keys():
        _check_brought(row, secrets)
    if PLACES & changed.keys():
        users.refuse("provider", await _imports(session, row))
    if "proxy_host_id" in changed:
        await _hold_host(session, changed["proxy_host_id"])
    if secrets:
        _seal(row, {**sealer.open(row.sealed_secrets, provider_records.context(row.id)), **secrets}, sealer)
        row.version += 1
    await names.change(session, row, changed)
    if not FOUND_BY & (changed.keys() | secrets.keys()):
        return False
    row.status = ProviderStatus()
    if MOVES & changed.keys():
        await inventories.forget(session, row)
    return True


def _changed(row: Provider, given: Json, *, allows_local: bool) -> Json:
    """The row's members that are to be another than they are."""
    wanted: Json = {
        name: given[name] for name in ("name", "username", "max_concurrent_imports") if name in given
    }
    kind = kind_of(row.kind)
    url = parse_url(kind, given.get("url", row.url), allows_local=allows_local or "url" not in given)
    wanted |= {
        "url": str(url),
        "proxy_host_id": given.get("proxy_host_id", row.proxy_host_id),
        "ssh": _merged_ssh(row.ssh, given["ssh"]) if "ssh" in given else row.ssh,
        "tls": _merged_tls(row.tls, given["tls"]) if "tls" in given else row.tls,
    }
    options = _valid_options(row.kind, {**row.options, **given.get("options", {})})
    if "options" in given:
        wanted["options"] = options.model_dump(mode="json")
    _check_fits(row.kind, url, options, wanted["ssh"], wanted["proxy_host_id"])
    return {name: value for name, value in wanted.items() if getattr(row, name) != value}


def _merged_ssh(before: SshIdentity | None, given: Json | None) -> SshIdentity | None:
    if given is None:
        return None
    kept = before.model_dump() if before else {"username": "root", "host_key": None}
    return SshIdentity.model_validate({name: given.get(name, value) for name, value in kept.items()})


def _merged_tls(before: TlsChecks | None, given: Json | None) -> TlsChecks | None:
    return None if given is None else (before or TlsChecks()).model_copy(update=given)


def _valid_options(kind: str, options: Json) -> Shape:
    """A merge patch (RFC 7396) of the options, validated by the kind. Raises UnsupportedPropertyError."""
    wanted = {name: value for name, value in options.items() if value is not None}
    try:
        valid: Shape = kind_of(kind).Options.model_validate(wanted)
    except ValidationError as error:
        faults = tuple(
            FieldError(
                pointer=json_pointer("options", *fault["loc"]),
                code=UnsupportedPropertyError.code,
                detail=fault["msg"],
            )
            for fault in error.errors()
        )
        raise UnsupportedPropertyError(faults[0].detail, errors=faults) from error
    return valid


def _secrets_in(given: Json) -> Secrets:
    """The secrets that a patch brings, or takes away."""
    found: Secrets = {"password": given["password"]} if "password" in given else {}
    if "ssh" not in given:
        return found
    if given["ssh"] is None:
        return {**found, "ssh_private_key": None, "ssh_password": None}
    ssh = {f"ssh_{name}": given["ssh"][name] for name in ("private_key", "password") if name in given["ssh"]}
    return {**found, **ssh}


def _check_brought(row: Provider, secrets: Secrets) -> None:
    missing = [name for name in AT if getattr(row, f"has_{name}") and name not in secrets]
    if not missing:
        return
    detail = "Send this again, or null to take it away."
    faults = tuple(FieldError(pointer=AT[n], code=SecretsNeededError.code, detail=detail) for n in missing)
    raise SecretsNeededError(f"The provider's secrets must come again: {', '.join(missing)}.", errors=faults)


async def remove(session: AsyncSession, row: Provider) -> None:
    """Raises InUseError, which names the live imports."""
    # Nothing is admitted from it from here on.
    await lock_admission(session)
    users.refuse("provider", await _imports(session, row))
    await session.delete(row)


async def _imports(session: AsyncSession, row: Provider) -> list[str]:
    by_request = users.names(VmImport.spec, "provider_id", row.id)
    return await users.live_imports(session, or_(col(VmImport.provider_id) == row.id, by_request))


# --- how it was found ------------------------------------------------------------------------------------


async def save_status(
    session: AsyncSession, provider_id: UUID, version: int, status: ProviderStatus
) -> Provider:
    """What a check of the provider at this version found: another one is to be checked anew.

    Only news counts as a change of the resource. Raises NotFoundError.
    """
    row = await get_locked(session, provider_id)
    if row.version != version:
        return row
    if _news(row.status) != _news(status):
        row.version += 1
    row.status = status
    return row


def _news(status: ProviderStatus) -> ProviderStatus:
    return status.model_copy(update={"checked_at": None})


# --- what clients see ------------------------------------------------------------------------------------


def public(row: Provider) -> ProviderPublic:
    return ProviderPublic(
        id=row.id,
        name=row.name,
        kind=row.kind,
        url=row.url,
        username=row.username,
        has_password=row.has_password,
        ssh=_ssh_of(row),
        tls=row.tls,
        proxy_host_id=row.proxy_host_id,
        options=row.options,
        max_concurrent_imports=row.max_concurrent_imports,
        status=_status_of(row),
        inventory=inventories.status_of(row),
    )


def _ssh_of(row: Provider) -> SshPublic | None:
    if row.ssh is None:
        return None
    return SshPublic(
        username=row.ssh.username,
        has_private_key=row.has_ssh_private_key,
        has_password=row.has_ssh_password,
        host_key=row.ssh.host_key,
    )


def _status_of(row: Provider) -> ProviderStatus:
    """As the last check found it; a provider whose record can't be read is not usable."""
    problem = records.problem(f"provider {row.name!r}", row)
    if problem is None:
        return row.status
    return row.status.model_copy(update={"state": ProviderState.UNUSABLE, "problem": problem})
