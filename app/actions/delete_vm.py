"""Deletes a VM: forgets it, and on request removes the disks that its import made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.db import Database, Session
from app.destinations.base import Destination
from app.errors import AppError, ConflictError, HostError, HostUnreachableError
from app.models.common import Json
from app.models.proxy_hosts import ProxyHost
from app.models.vms import DiskState, Vm, VmState
from app.proxy.agent_client import HostAgent
from app.proxy.base import HostAddress
from app.proxy.pool import ProxyPool
from app.secrets import Sealer
from app.services import imports, proxy_hosts, records, storage_domains, targets, vms

Check = Callable[[Vm], None]
"""Raises PreconditionFailedError when the VM is not the one that the caller has read."""


@dataclass(frozen=True)
class _Removal:
    """How the VM's disks are taken away, and the hosts that can do it, the likeliest first."""

    destination: Destination[Any]
    plan: Json
    owner_id: UUID
    """Whose marker the disks carry, or are given before they are removed."""
    turn: int
    is_released: bool
    hosts: Sequence[HostAddress | AppError]


async def forget_vm(database: Database, vm_id: UUID, check: Check) -> UUID | None:
    """Take VM and disks out of the database, and leave the files. Answers the import that has changed.

    Raises NotFoundError, InUseError.
    """
    async with database.session() as session:
        vm = await vms.locked(session, vm_id)
        check(vm)
        return await vms.remove(session, vm)


async def delete_vm(
    database: Database, sealer: Sealer, proxies: ProxyPool, vm_id: UUID, check: Check
) -> UUID | None:
    """Remove the VM's disks from its storage domain, then forget it. Answers the import that has changed.

    Raises NotFoundError, InUseError, ConflictError, HostError. Once begun, a VM that could not be removed
    whole is `illegal`; asking again goes on.
    """
    async with database.session() as session:
        vm = await vms.locked(session, vm_id)
        check(vm)
        removal = await _removal(session, vm, sealer)
    agent = await _agent(proxies, removal.hosts)
    async with database.session() as session:
        await vms.locked(session, vm_id)
        await targets.set_state(session, vm_id, VmState.ILLEGAL, DiskState.ILLEGAL)
    await _remove(removal, agent)
    async with database.session() as session:
        return await vms.remove(session, await vms.locked(session, vm_id))


async def _removal(session: Session, vm: Vm, sealer: Sealer) -> _Removal:
    domain = await storage_domains.get(session, vm.storage_domain_id)
    destination, settings = storage_domains.opened(domain)
    only = destination.host_id(settings)
    hosts = await _hosts(session, vm, only, sealer)
    records.check(f"VM {vm.name!r}", vm, {"made"})
    if vm.made:
        # The import took its markers off; the VM puts its own there, so that asking again finds them.
        return _Removal(destination, vm.made, vm.id, turn=1, is_released=True, hosts=hosts)
    kept = await vms.kept_plan(session, vm)
    if kept is None or vm.import_id is None:
        raise ConflictError("Nothing is known any more of what was made for this VM; delete it alone.")
    plan, attempt_id = kept
    turn = (await imports.get(session, vm.import_id)).turn
    return _Removal(destination, plan, attempt_id, turn=turn, is_released=False, hosts=hosts)


async def _hosts(session: Session, vm: Vm, only: UUID | None, sealer: Sealer) -> list[HostAddress | AppError]:
    near = await vms.hosts_near(session, vm)
    return [_address(host, sealer) for host in near if only in {None, host.id}]


def _address(host: ProxyHost, sealer: Sealer) -> HostAddress | AppError:
    try:
        return proxy_hosts.host_address(host, sealer)
    except AppError as error:
        return error


async def _agent(proxies: ProxyPool, hosts: Sequence[HostAddress | AppError]) -> HostAgent:
    """The first that can be reached. Raises the last one's HostError."""
    failure: AppError = HostUnreachableError("The data center has no proxy host that reaches the disks.")
    for host in hosts:
        if isinstance(host, AppError):
            failure = host
            continue
        try:
            return await proxies.agent(host)
        except HostError as error:
            failure = error
    raise failure


async def _remove(removal: _Removal, agent: HostAgent) -> None:
    remove = removal.destination.discard if removal.is_released else removal.destination.remove
    await remove(removal.plan, agent, removal.owner_id, removal.turn)
