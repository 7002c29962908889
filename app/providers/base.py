"""What a provider kind is, and what those who ask a provider are given."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar
from uuid import UUID

from pydantic import SecretStr

from app.models.common import Shape
from app.models.providers import ProviderCreateBase, TlsChecks
from app.models.vm import VmConfig
from app.providers.urls import ProviderUrl, Scheme

O = TypeVar("O", bound=Shape)  # noqa: E741


class ProviderKind(Protocol[O]):
    """One kind of provider. Stateless, and nothing but declarations: its program in `app.children` does the
    work, and `actions.ask_provider` makes the way to it.

    A kind is one file here, one line in `PROVIDER_KINDS`, and a program in `app.children` that keeps the
    protocol of that package; how its VMs are imported is one file in `app.sources.provider_vms`.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    child: ClassVar[str]
    """The module in `app.children` that asks such providers."""
    schemes: ClassVar[Mapping[str, Scheme]]
    """What its URLs may be; nothing else of a URL gets through."""
    Options: type[O]
    """What can be set for this kind alone. It is answered by the API, so it holds no secret."""
    Create: type[ProviderCreateBase]
    """`ProviderCreateBase` with `kind` and `options`."""

    def sockets(self, options: O) -> tuple[str, ...]:
        """The Unix sockets on the provider's host of which one answers, for URLs that are reached by SSH."""

    def ssh_port(self, url: ProviderUrl, options: O) -> int | None:
        """The port of the SSH server by which it or its VMs' disks are reached; None where none is."""

    def needs_ssh(self, url: ProviderUrl, options: O) -> bool:
        """Whether nothing goes without a login in `ssh`; else disks may need it, or nothing does."""


@dataclass(frozen=True)
class SshAccess:
    """A login to the provider's host. Without a host key nothing may be sent there."""

    username: str
    private_key: SecretStr | None
    password: SecretStr | None
    host_key: str | None


@dataclass(frozen=True)
class ProviderAccess:
    """How a provider is reached and logged in to: its record with the secrets opened.

    Keep it out of logs, facts and answers; what virt-v2v needs of it goes into a `V2vFile(secret=True)`.
    """

    id: UUID
    name: str
    kind: str
    url: ProviderUrl
    """In parts: rebuild what you need of them, never take text from elsewhere."""
    username: str | None
    password: SecretStr | None
    ssh: SshAccess | None
    tls: TlsChecks
    """As the record has it; `TlsChecks()` (verified, by the system's CAs) where it has none."""
    options: Shape
    """The kind's `Options`."""
    proxy_host_id: UUID | None
    """The proxy host through which it is reached; None: directly."""


@dataclass(frozen=True)
class SourceProvider:
    """A provider for a source that reads one of its VMs."""

    access: ProviderAccess
    vm: Callable[[str], Awaitable[VmConfig]]
    """The VM with this id, asked for now (a child process, with a deadline; through the proxy host if the
    record says so). Raises ProviderError, VmVanishedError, HostError."""
