"""Providers: saved external systems that hold VMs."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field as ShapeField
from pydantic import StrictBool, StringConstraints
from sqlmodel import Field, SQLModel

from app.errors import Problem
from app.models.columns import Typed, UtcDateTime, UtcTime, new_id, now
from app.models.common import Json, Matching, NoNul, Page, Patch, Plain, ResourceName, Shape, Slots
from app.models.proxy_hosts import HostKey, Password, PrivateKey, Username
from app.models.source_vms import SourceVmSummary


class ProviderState(StrEnum):
    UNVERIFIED = "unverified"
    CHECKING = "checking"
    UP = "up"
    UNUSABLE = "unusable"
    UNREACHABLE = "unreachable"


class ProviderStatus(Shape):
    """What the last check found."""

    state: ProviderState = ProviderState.CHECKING
    problem: Problem | None = None
    """Why it can't be used."""
    checked_at: UtcTime | None = None
    product: str | None = None
    """What it says it is: `VMware vCenter Server`."""
    version: str | None = None
    offered_host_key: str | None = None
    """The SSH host key that it showed; a PATCH of `ssh.host_key` accepts it."""
    offered_thumbprint: str | None = None
    """Of the certificate that it showed; a PATCH of `tls.thumbprint` pins it."""
    fingerprint: str | None = None
    """Of `offered_host_key`, as `ssh-keygen -l` prints it."""


class InventoryState(StrEnum):
    NONE = "none"
    READING = "reading"
    READY = "ready"
    FAILED = "failed"


class InventoryStatus(Shape):
    """What is known of the provider's VMs, and since when."""

    state: InventoryState
    """`failed`: the last reading; the list of the one before is still there."""
    fetched_at: UtcTime | None
    vm_count: int | None
    problem: Problem | None


class SshIdentity(Shape):
    """How the provider's host is logged in to, without the secrets."""

    username: str
    host_key: str | None = None


CaPem = Annotated[str, StringConstraints(min_length=1, max_length=262_144), NoNul]
Thumbprint = Annotated[
    str,
    StringConstraints(max_length=95),
    Matching(
        r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){19}((:[0-9A-Fa-f]{2}){12})?$",
        "give SHA-1 or SHA-256 as pairs of hexadecimal digits with colons between",
    ),
]


class TlsChecks(Shape):
    """How the provider's certificate is verified: by `ca_pem` or the system's CAs, or by its thumbprint."""

    verify: StrictBool = True
    """False: whoever is on the way can read and change everything."""
    ca_pem: CaPem | None = None
    """One or more certificates in PEM."""
    thumbprint: Thumbprint | None = None
    """Only this certificate is accepted, whoever signed it."""


class Provider(SQLModel, table=True):
    """`ssh` and `tls` hold no secret; those are sealed together."""

    __tablename__ = "providers"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str = Field(unique=True)
    kind: str
    url: str
    username: str | None = None
    ssh: SshIdentity | None = Field(default=None, sa_type=Typed(SshIdentity))
    tls: TlsChecks | None = Field(default=None, sa_type=Typed(TlsChecks))
    proxy_host_id: UUID | None = Field(default=None, foreign_key="proxy_hosts.id", index=True)
    options: Json = Field(default_factory=dict, sa_type=Typed(Json))
    max_concurrent_imports: int | None = None
    sealed_secrets: bytes | None = None
    has_password: bool = False
    has_ssh_private_key: bool = False
    has_ssh_password: bool = False
    status: ProviderStatus = Field(default_factory=ProviderStatus, sa_type=Typed(ProviderStatus))
    fetched_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When the saved inventory was read."""
    vm_count: int | None = None
    reading_id: UUID | None = None
    """The reading of the inventory that goes on now; what another one found is not saved."""
    reading_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """By then it has ended, or its process has."""
    inventory_problem: Problem | None = Field(default=None, sa_type=Typed(Problem))
    """Why the last reading failed."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    version: int = 1


class ProviderVm(SQLModel, table=True):
    """One VM of a provider's inventory, as it was when that was read."""

    __tablename__ = "provider_vms"

    provider_id: UUID = Field(foreign_key="providers.id", primary_key=True, ondelete="CASCADE")
    vm_id: str = Field(primary_key=True)
    name: str = Field(index=True)
    state: str
    summary: SourceVmSummary | None = Field(default=None, sa_type=Typed(SourceVmSummary))


ProviderUsername = Annotated[str, StringConstraints(min_length=1, max_length=256), Plain]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


class SshCreate(Shape):
    """How the provider's host is logged in to."""

    username: Username = "root"
    private_key: PrivateKey | None = None
    """OpenSSH or PEM, without a passphrase."""
    password: Password | None = None
    host_key: HostKey | None = None
    """A line of `known_hosts` without the name; null: it is shown first, then accepted."""


class ProviderCreateBase(Shape):
    """What every kind's create shape has; the kind adds `kind` and `options`."""

    name: ResourceName = ShapeField(examples=["vcenter-1"])
    url: Url
    """Where it is. No query part, no password."""
    username: ProviderUsername | None = None
    password: Password | None = None
    ssh: SshCreate | None = None
    """For `qemu+ssh` and `xen+ssh`."""
    tls: TlsChecks | None = None
    """Null: verified by the CAs that the service's system trusts."""
    proxy_host_id: UUID | None = None
    """The proxy host that it is reached through; null: directly."""
    max_concurrent_imports: Slots | None = None
    """Null: no limit but the proxy hosts'."""


class SshPatch(Patch):
    NULLABLE = frozenset({"private_key", "password", "host_key"})

    username: Username | None = None
    private_key: PrivateKey | None = None
    password: Password | None = None
    host_key: HostKey | None = None


class TlsPatch(Patch):
    NULLABLE = frozenset({"ca_pem", "thumbprint"})

    verify: StrictBool | None = None
    ca_pem: CaPem | None = None
    thumbprint: Thumbprint | None = None


class ProviderPatch(Patch):
    NULLABLE = frozenset({"username", "password", "ssh", "tls", "proxy_host_id", "max_concurrent_imports"})

    name: ResourceName | None = None
    url: Url | None = None
    username: ProviderUsername | None = None
    password: Password | None = None
    ssh: SshPatch | None = None
    tls: TlsPatch | None = None
    proxy_host_id: UUID | None = None
    options: Json | None = None
    """Merged into those that are there, then checked by the kind."""
    max_concurrent_imports: Slots | None = None


class SshPublic(Shape):
    username: str
    has_private_key: bool
    has_password: bool
    host_key: str | None


class ProviderPublic(Shape):
    """`options` are those of the kind; `/v1/kinds` has their JSON Schema."""

    id: UUID
    name: str
    kind: str
    url: str
    username: str | None
    has_password: bool
    ssh: SshPublic | None
    tls: TlsChecks | None
    proxy_host_id: UUID | None
    options: Json
    max_concurrent_imports: int | None
    status: ProviderStatus
    inventory: InventoryStatus


class ProviderVmPage(Page[SourceVmSummary]):
    """VMs by name, as the inventory has them."""

    fetched_at: UtcTime
    """When the inventory was read."""
