"""Rows of every kind for tests of the services, as small as they may be."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.models.attempts import Attempt
from app.models.data_centers import DataCenter
from app.models.imports import ImportLabel, VmImport
from app.models.proxy_hosts import ProxyHost
from app.models.state import ImportState, Role
from app.models.storage_domains import StorageDomain
from app.models.tokens import ApiToken
from app.models.vms import Disk, DiskState, Vm, VmName, VmState
from app.secrets import hash_token
from app.services.specs import VmImportCreate


async def add_center(session: AsyncSession, name: str = "north") -> DataCenter:
    return await _added(session, DataCenter(name=name))


async def add_domain(session: AsyncSession, center: DataCenter, **fields: Any) -> StorageDomain:
    given = {"name": "store", "kind": "directory", "settings": {"path": "/srv/vms"}} | fields
    return await _added(session, StorageDomain(data_center_id=center.id, **given))


async def add_host(session: AsyncSession, center: DataCenter, **fields: Any) -> ProxyHost:
    given = {
        "name": "proxy",
        "address": "127.0.0.1",
        "port": 22,
        "username": "root",
        "sudo": False,
        "work_dir": "/var/lib/v2v-import",
        "virt_v2v_path": "virt-v2v",
    } | fields
    return await _added(session, ProxyHost(data_center_id=center.id, **given))


async def add_import(session: AsyncSession, domain: StorageDomain, **fields: Any) -> VmImport:
    """An import of a disk, queued unless the fields say otherwise; labels are filed too."""
    body = VmImportCreate.model_validate(
        {"source": {"kind": "disk", "path": "/srv/images/web.img"}, "storage_domain_id": str(domain.id)}
    )
    given = {"spec": body.without_secrets(), "created_by": "test", "state": ImportState.QUEUED} | fields
    row = await _added(
        session,
        VmImport(data_center_id=domain.data_center_id, storage_domain_id=domain.id, **given),
    )
    for key, value in row.labels.items():
        session.add(ImportLabel(import_id=row.id, key=key, value=value))
    await session.flush()
    return row


async def add_attempt(session: AsyncSession, row: VmImport, **fields: Any) -> Attempt:
    return await _added(session, Attempt(import_id=row.id, number=row.attempt, **fields))


async def add_vm(
    session: AsyncSession,
    domain: StorageDomain,
    *,
    row: VmImport | None = None,
    disks: int = 1,
    **fields: Any,
) -> Vm:
    """A VM with its disks, which bears its name; imported whole unless the fields say otherwise."""
    given = {"name": "web", "state": VmState.DOWN} | fields
    vm = await _added(
        session,
        Vm(
            data_center_id=domain.data_center_id,
            storage_domain_id=domain.id,
            import_id=row.id if row else None,
            **given,
        ),
    )
    session.add(VmName(data_center_id=domain.data_center_id, name=vm.name, vm_id=vm.id))
    for number in range(1, disks + 1):
        session.add(_disk(vm.id, number))
    if row is not None:
        row.vm_id = vm.id
    await session.flush()
    return vm


def _disk(vm_id: UUID, number: int) -> Disk:
    return Disk(
        vm_id=vm_id,
        number=number,
        alias=f"web_Disk{number}",
        state=DiskState.OK,
        capacity_bytes=2**30,
        format="raw",
        allocation="sparse",
        path=f"/srv/vms/web/web-{number}",
    )


async def add_token(
    session: AsyncSession, text: str = "v2v_secret", role: Role = Role.ADMIN, **fields: Any
) -> ApiToken:
    return await _added(session, ApiToken(name=role, role=role, token_hash=hash_token(text), **fields))


async def _added(session: AsyncSession, row: Any) -> Any:
    session.add(row)
    await session.flush()
    return row
