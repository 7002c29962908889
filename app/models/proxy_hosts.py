"""Proxy hosts: hosts with virt-v2v that the service reaches over SSH."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field as ShapeField
from pydantic import SecretStr, StrictBool, StringConstraints
from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from app.errors import Problem
from app.models.columns import Typed, UtcDateTime, UtcTime, new_id, now
from app.models.common import (
    NO_CONTROL,
    NO_DOTS,
    HostPath,
    Matching,
    NamesMatching,
    Number,
    Patch,
    Plain,
    ResourceName,
    Shape,
    Slots,
    SourceRoot,
)


class HostState(StrEnum):
    UNVERIFIED = "unverified"
    CHECKING = "checking"
    UP = "up"
    UNUSABLE = "unusable"
    UNREACHABLE = "unreachable"
    DISABLED = "disabled"


class VirtV2vStatus(Shape):
    """What the host's virt-v2v says of itself."""

    version: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


class HostStatus(Shape):
    """What the last probe found. `running_imports` is counted when the host is read, not stored."""

    state: HostState = HostState.UNVERIFIED
    problem: Problem | None = None
    """Why the host can't be used."""
    checked_at: UtcTime | None = None
    offered_host_key: str | None = None
    """The key that the host showed; a PATCH of `host_key` accepts it."""
    fingerprint: str | None = None
    """Of `offered_host_key`, as `ssh-keygen -l` prints it."""
    virt_v2v: VirtV2vStatus | None = None
    cpu_count: int | None = None
    memory_bytes: int | None = None
    free_bytes: int | None = None
    """In the work directory."""
    boot_id: str | None = None
    """Another one after each boot."""
    running_imports: int = 0


class ProxyHost(SQLModel, table=True):
    __tablename__ = "proxy_hosts"
    __table_args__ = (UniqueConstraint("data_center_id", "name"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    data_center_id: UUID = Field(foreign_key="data_centers.id", index=True)
    name: str
    address: str
    port: int
    username: str
    sudo: bool
    host_key: str | None = None
    work_dir: str
    virt_v2v_path: str
    source_roots: tuple[str, ...] = Field(default=(), sa_type=Typed(tuple[str, ...]))
    environment: dict[str, str] = Field(default_factory=dict, sa_type=Typed(dict[str, str]))
    max_concurrent_imports: int | None = None
    enabled: bool = True
    sealed_secrets: bytes | None = None
    has_private_key: bool = False
    has_password: bool = False
    status: HostStatus = Field(default_factory=HostStatus, sa_type=Typed(HostStatus))
    watcher_worker_id: UUID | None = Field(default=None, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    version: int = 1

    def slots(self) -> int:
        """How many imports the host takes at once: as set, else 1 core and 2 GiB each, at least 1."""
        if self.max_concurrent_imports is not None:
            return self.max_concurrent_imports
        cores = self.status.cpu_count or 1
        memory = (self.status.memory_bytes or 2 * 2**30) // (2 * 2**30)
        return max(1, min(cores, memory))


EnvironmentName = Annotated[
    str, StringConstraints(pattern=r"^(LIBGUESTFS_[A-Za-z0-9_]*|VIRTIO_WIN|VIRT_TOOLS_DATA_DIR)$")
]
EnvironmentValue = Annotated[
    str, StringConstraints(max_length=4096), Matching(r"^[^\x00\n]*$", "NUL and line ends are not allowed")
]
Environment = Annotated[dict[EnvironmentName, EnvironmentValue], ShapeField(max_length=64), NamesMatching()]
Port = Annotated[int, ShapeField(ge=1, le=65535), Number]
Address = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:\[\]%][A-Za-z0-9._:\-\[\]%]*$"),
]
Username = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256, pattern=r"^[!-,.0-9;-?A-~][!-.0-9;-?A-~]*$"),
]
"""Visible ASCII without `/`, `:` and `@`, and no `-` at the front."""
V2vPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1024),
    Matching(
        rf"^(virt-v2v|/{NO_DOTS}{NO_CONTROL}*)$", "give an absolute path, or `virt-v2v` to find it in PATH"
    ),
]
HostKey = Annotated[str, StringConstraints(min_length=1, max_length=16384, strip_whitespace=True), Plain]
PrivateKey = Annotated[SecretStr, ShapeField(max_length=65536)]
Password = Annotated[SecretStr, ShapeField(max_length=4096)]


class ProxyHostCreate(Shape):
    data_center_id: UUID
    name: ResourceName = ShapeField(examples=["proxy-1"])
    address: Address = ShapeField(examples=["192.0.2.10"])
    """A name or an IP address, as the service reaches it."""
    port: Port = 22
    username: Username = "root"
    sudo: StrictBool = False
    """Become root with `sudo -n`."""
    private_key: PrivateKey | None = None
    """OpenSSH or PEM, without a passphrase."""
    password: Password | None = None
    host_key: HostKey | None = None
    """A line of `known_hosts` without the name; null: it is shown first, then accepted."""
    work_dir: HostPath = "/var/lib/v2v-import"
    """Where attempts have their directories: at most 40 bytes long."""
    virt_v2v_path: V2vPath = "virt-v2v"
    source_roots: tuple[SourceRoot, ...] = ShapeField(default=(), max_length=100)
    """Directories that imports may read."""
    environment: Environment = ShapeField(default_factory=dict)
    """For virt-v2v: `LIBGUESTFS_*`, `VIRTIO_WIN`, `VIRT_TOOLS_DATA_DIR`."""
    max_concurrent_imports: Slots | None = None
    """Null: one a core and 2 GiB of memory."""
    enabled: StrictBool = True
    """False drains the host: what runs goes on, nothing new begins."""


class ProxyHostPatch(Patch):
    NULLABLE = frozenset({"private_key", "password", "host_key", "max_concurrent_imports"})

    name: ResourceName | None = None
    address: Address | None = None
    port: Port | None = None
    username: Username | None = None
    sudo: StrictBool | None = None
    private_key: PrivateKey | None = None
    password: Password | None = None
    host_key: HostKey | None = None
    work_dir: HostPath | None = None
    virt_v2v_path: V2vPath | None = None
    source_roots: tuple[SourceRoot, ...] | None = ShapeField(default=None, max_length=100)
    environment: Environment | None = None
    max_concurrent_imports: Slots | None = None
    enabled: StrictBool | None = None


class ProxyHostPublic(Shape):
    id: UUID
    data_center_id: UUID
    name: str
    address: str
    port: int
    username: str
    sudo: bool
    has_private_key: bool
    has_password: bool
    host_key: str | None
    work_dir: str
    virt_v2v_path: str
    source_roots: tuple[str, ...]
    environment: dict[str, str]
    max_concurrent_imports: int | None
    """Null: one a core and 2 GiB of memory."""
    enabled: bool
    """False: it drains."""
    status: HostStatus
