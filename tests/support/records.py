"""What imports leave in the database: attempts and VMs; and tokens."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.models.attempts import Attempt
from app.models.imports import VmImport
from app.models.state import Role
from app.models.storage_domains import StorageDomain
from app.models.tokens import ApiToken
from app.models.vms import Disk, DiskState, Vm, VmName, VmState
from app.secrets import hash_token
from tests.support.rows import vm_import


async def add_import(session: AsyncSession, domain: StorageDomain, **fields: Any) -> VmImport:
    """An import of a disk, queued unless the fields say otherwise."""
    row = await vm_import(session, domain, labels=fields.pop("labels", {}))
    for name, value in fields.items():
        setattr(row, name, value)
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
    proxy_host_id: UUID | None = None,
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
        session.add(_disk(vm.id, number, proxy_host_id))
    if row is not None:
        row.vm_id = vm.id
    await session.flush()
    return vm


def _disk(vm_id: UUID, number: int, proxy_host_id: UUID | None) -> Disk:
    return Disk(
        vm_id=vm_id,
        number=number,
        alias=f"web_Disk{number}",
        state=DiskState.OK,
        capacity_bytes=2**30,
        format="raw",
        allocation="sparse",
        proxy_host_id=proxy_host_id,
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
