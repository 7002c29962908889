"""Asks providers: what they are, which VMs they have, how one of these is configured."""

from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from app.actions.ask_child import Children
from app.actions.provider_way import offered_key, way_to
from app.db import Database
from app.errors import ProviderReaderError
from app.models.common import Json
from app.models.providers import Provider
from app.models.source_vms import ListedVm
from app.models.vm import VmConfig
from app.providers import kind_of
from app.providers.base import ProviderAccess, SourceProvider
from app.proxy.pool import ProxyPool
from app.proxy.ssh import SshProxy
from app.secrets import Sealer
from app.services import provider_records, providers, proxy_hosts
from app.settings import Settings

T = TypeVar("T")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class FoundProvider(_Answer):
    """What a provider says it is."""

    product: str | None = None
    version: str | None = None


class FoundVm(_Answer):
    """One VM as it is now."""

    config: VmConfig
    path: str | None = None


class _Listing(_Answer):
    vms: tuple[ListedVm, ...]


_FOUND: Final = TypeAdapter(FoundProvider)
_VM: Final = TypeAdapter(FoundVm)
_LISTING: Final = TypeAdapter(_Listing)


@dataclass(frozen=True)
class Providers:
    """What is needed to ask them. No session is open while they are asked."""

    database: Database
    sealer: Sealer
    proxies: ProxyPool
    children: Children
    settings: Settings

    async def access(self, provider_id: UUID) -> ProviderAccess:
        """As the record has it now. Raises NotFoundError, RecordUnreadableError, SealError."""
        async with self.database.reading() as session:
            row = await providers.get(session, provider_id)
        return self.access_of(row)

    def access_of(self, row: Provider) -> ProviderAccess:
        return provider_records.access(row, self.sealer, allows_local=self.settings.allow_local_providers)

    async def check(self, access: ProviderAccess) -> FoundProvider:
        """Log in and ask what it is. Raises ProviderError, HostError."""
        return await self._ask(access, {"do": "check"}, _FOUND, self.settings.provider_seconds)

    async def list_vms(self, access: ProviderAccess) -> tuple[ListedVm, ...]:
        """All of its VMs. Raises ProviderError, HostError."""
        seconds = self.settings.provider_listing_seconds
        return (await self._ask(access, {"do": "list"}, _LISTING, seconds)).vms

    async def vm(self, access: ProviderAccess, vm_id: str) -> FoundVm:
        """Raises VmVanishedError, ProviderError, HostError."""
        request = {"do": "vm", "vm_id": vm_id}
        return await self._ask(access, request, _VM, self.settings.provider_seconds)

    async def offered_key(self, access: ProviderAccess) -> str:
        """The SSH host key that it shows. Raises ProviderError, HostError."""
        return await offered_key(access, await self._through(access))

    async def source(self, provider_id: UUID | None) -> SourceProvider | None:
        """The provider that a source is read from; None for a source that needs none. Raises as `access`."""
        if provider_id is None:
            return None
        access = await self.access(provider_id)
        return SourceProvider(access, partial(self._config, access))

    async def _config(self, access: ProviderAccess, vm_id: str) -> VmConfig:
        return (await self.vm(access, vm_id)).config

    async def _ask(self, access: ProviderAccess, wanted: Json, kind: TypeAdapter[T], seconds: float) -> T:
        async with way_to(access, await self._through(access)) as way:
            request = {**_request(access), **wanted, "way": way}
            child = kind_of(access.kind).child
            answer = await self.children.ask(child, request, seconds=seconds, secrets=[access.password])
        try:
            return kind.validate_python(answer)
        except ValidationError as error:
            raise ProviderReaderError(
                "The program that asks the provider answered something else."
            ) from error

    async def _through(self, access: ProviderAccess) -> SshProxy | None:
        if access.proxy_host_id is None:
            return None
        async with self.database.reading() as session:
            host = await proxy_hosts.get(session, access.proxy_host_id)
        return await self.proxies.connection(proxy_hosts.host_address(host, self.sealer))


def _request(access: ProviderAccess) -> Json:
    """What every question says; `app.children` has the whole form."""
    url = access.url
    return {
        "url": {
            "scheme": url.scheme,
            "host": url.host,
            "port": url.effective_port,
            "path": url.path,
            "username": url.username or (access.ssh.username if access.ssh else None),
        },
        "username": access.username,
        "password": access.password.get_secret_value() if access.password else None,
        "tls": access.tls.model_dump(mode="json"),
        "options": access.options.model_dump(mode="json"),
    }
