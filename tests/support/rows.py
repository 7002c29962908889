"""Rows for tests of services and jobs: a data center, its proxy hosts, its domains, imports into them."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.destinations.base import Target, TargetDisk
from app.models.attempts import Attempt
from app.models.columns import now
from app.models.data_centers import DataCenter
from app.models.imports import Allocation, DiskFormat, VmImport
from app.models.proxy_hosts import HostState, HostStatus, ProxyHost, VirtV2vStatus
from app.models.storage_domains import StorageDomain
from app.models.vm import SourceDisk, VmConfig
from app.secrets import Sealer
from app.services import admission, attempts, imports
from app.services.specs import VmImportCreate

GIB = 2**30
KEY = b"k" * 32
SEALER = Sealer(KEY)
VIRT_V2V = VirtV2vStatus(
    version="2.4.0",
    inputs=("disk", "libvirtxml", "ova"),
    outputs=("local", "null", "vdsm"),
    features=("virt-v2v-2.0", "mac-option"),
)


def up(**known: Any) -> HostStatus:
    """The status of a host that can be used."""
    found = {"cpu_count": 4, "memory_bytes": 16 * GIB, "free_bytes": 100 * GIB, "virt_v2v": VIRT_V2V}
    return HostStatus.model_validate({"state": HostState.UP, "checked_at": now(), **found, **known})


async def data_center(session: AsyncSession, name: str = "north") -> DataCenter:
    row = DataCenter(name=name)
    session.add(row)
    await session.flush()
    return row


async def proxy_host(
    session: AsyncSession, data_center_id: UUID, name: str = "proxy-1", **members: Any
) -> ProxyHost:
    given = {
        "address": "192.0.2.1",
        "port": 22,
        "username": "root",
        "sudo": False,
        "host_key": "ssh-ed25519 AAAA",
        "work_dir": "/var/lib/v2v-import",
        "virt_v2v_path": "virt-v2v",
        "status": up(),
        **members,
    }
    row = ProxyHost(data_center_id=data_center_id, name=name, **given)
    session.add(row)
    await session.flush()
    return row


async def storage_domain(
    session: AsyncSession, data_center_id: UUID, name: str = "store-1", **members: Any
) -> StorageDomain:
    given = {"kind": "directory", "settings": {"path": "/srv/store"}, **members}
    row = StorageDomain(data_center_id=data_center_id, name=name, **given)
    session.add(row)
    await session.flush()
    return row


async def vm_import(
    session: AsyncSession, domain: StorageDomain, path: str = "/srv/images/web-1.img", **members: Any
) -> VmImport:
    """An import of one disk, queued."""
    body = {"source": {"kind": "disk", "path": path}, "storage_domain_id": str(domain.id), **members}
    request = VmImportCreate.model_validate(body)
    return await imports.create(session, request, created_by="test", sealer=SEALER)


class Site:
    """A data center with one proxy host and one storage domain, committed."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.data_center_id = self.host_id = self.domain_id = UUID(int=0)

    async def build(
        self, *, host: dict[str, Any] | None = None, domain: dict[str, Any] | None = None
    ) -> "Site":
        async with self.database.session() as session:
            center = await data_center(session)
            self.data_center_id = center.id
            self.host_id = (await proxy_host(session, center.id, **(host or {}))).id
            self.domain_id = (await storage_domain(session, center.id, **(domain or {}))).id
        return self

    async def queue(self, **members: Any) -> UUID:
        """One more import of one disk."""
        async with self.database.session() as session:
            domain = await session.get_one(StorageDomain, self.domain_id)
            return (await vm_import(session, domain, **members)).id

    async def admit(self) -> list[UUID]:
        """One pass, as a worker makes it."""
        async with self.database.reading() as session:
            line = await admission.line_up(session)
        async with self.database.session() as session:
            return (await admission.admit(session, line))[0]

    async def row(self, import_id: UUID) -> VmImport:
        async with self.database.reading() as session:
            return await imports.get(session, import_id)

    async def reason(self, import_id: UUID) -> str:
        """Why it waits, as clients see it."""
        async with self.database.reading() as session:
            shown = await imports.public(session, await imports.get(session, import_id))
        return shown.queue.reason if shown.queue else ""

    async def attempt(self, import_id: UUID) -> Attempt:
        async with self.database.reading() as session:
            found = await attempts.current(session, await imports.get(session, import_id))
        assert found is not None
        return found

    async def host(self, **members: Any) -> UUID:
        """Another proxy host."""
        async with self.database.session() as session:
            return (await proxy_host(session, self.data_center_id, **members)).id


def config(*capacities: int) -> VmConfig:
    """A VM with disks of these sizes."""
    disks = tuple(
        SourceDisk(id=f"disk-{number}", label=f"web-1-{number}.img", capacity_bytes=capacity)
        for number, capacity in enumerate(capacities, start=1)
    )
    return VmConfig(id="web-1", name="web-1", disks=disks)


def target(row: VmImport, attempt: Attempt, *capacities: int) -> Target:
    """Where an attempt's VM with such disks goes."""
    return Target(
        import_id=row.id,
        attempt_id=attempt.id,
        attempt_number=attempt.number,
        turn=row.turn,
        attempt_dir="/var/lib/v2v-import/attempts/1",
        vm_id=uuid4(),
        vm_name="web-1",
        file_name="web-1",
        disks=tuple(
            TargetDisk(
                id=uuid4(),
                number=number,
                capacity_bytes=capacity,
                format=DiskFormat.RAW,
                allocation=Allocation.SPARSE,
            )
            for number, capacity in enumerate(capacities, start=1)
        ),
    )
