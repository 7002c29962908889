"""VMs that were imported."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response, status

from app.actions.announce import announce
from app.actions.delete_vm import delete_vm, forget_vm
from app.api.conventions import IfMatchDep, set_etag
from app.api.deps import AfterCommitDep, OperatorDep, ReadingDep, StateDep, ViewerDep
from app.api.pagination import NameQuery, PageDep, to_cursor
from app.api.problems import Responses, problems
from app.api.work import ServiceRoute
from app.errors import (
    ConflictError,
    DomainUnusableError,
    HostDeadlineError,
    HostUnreachableError,
    InUseError,
    InvalidCursorError,
    NotFoundError,
    PreconditionFailedError,
)
from app.models.common import Page
from app.models.vms import VmPublic
from app.services import vms
from app.services.vms import VmFilter

DOCUMENT: Final[Responses] = {
    200: {
        "description": "OVF or libvirt XML; the media type's `kind` tells which.",
        "content": {"application/xml": {"schema": {"type": "string"}}},
    }
}

router = APIRouter(prefix="/v1/vms", tags=["vms"], route_class=ServiceRoute)


def _filter(
    data_center_id: UUID | None = None,
    storage_domain_id: UUID | None = None,
    import_id: UUID | None = None,
    name: NameQuery = None,
) -> VmFilter:
    return VmFilter(
        data_center_id=data_center_id,
        storage_domain_id=storage_domain_id,
        import_id=import_id,
        name=name,
    )


@router.get("", operation_id="listVms", summary="List VMs", responses=problems(InvalidCursorError))
async def list_vms(
    _: ViewerDep, wanted: Annotated[VmFilter, Depends(_filter)], query: PageDep, session: ReadingDep
) -> Page[VmPublic]:
    """Newest first."""
    found = await vms.page(session, wanted, before=query.before, limit=query.with_one_more)
    shown = found[: query.limit]
    return Page(
        items=await vms.publics(session, shown),
        next_cursor=to_cursor(shown[-1].id) if len(found) > query.limit else None,
    )


@router.get("/{vm_id:uuid}", operation_id="getVm", summary="Get a VM", responses=problems(NotFoundError))
async def get_vm(_: ViewerDep, vm_id: UUID, session: ReadingDep, response: Response) -> VmPublic:
    vm = await vms.get(session, vm_id)
    set_etag(response, vm.version)
    return await vms.public(session, vm)


@router.get(
    "/{vm_id:uuid}/metadata",
    operation_id="getVmMetadata",
    summary="Get what virt-v2v wrote about a VM",
    response_class=Response,
    responses=DOCUMENT | problems(NotFoundError),
)
async def get_vm_metadata(_: ViewerDep, vm_id: UUID, session: ReadingDep) -> Response:
    media_type, text = vms.metadata(await vms.get(session, vm_id))
    return Response(text.encode(), headers={"Content-Type": media_type})


@router.delete(
    "/{vm_id:uuid}",
    operation_id="deleteVm",
    summary="Delete a VM",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(
        NotFoundError,
        InUseError,
        ConflictError,
        PreconditionFailedError,
        DomainUnusableError,
        HostUnreachableError,
        HostDeadlineError,
    ),
)
async def remove_vm(
    _: OperatorDep,
    vm_id: UUID,
    if_match: IfMatchDep,
    state: StateDep,
    after: AfterCommitDep,
    delete_disks: Annotated[bool, Query(description="Also remove what its import made.")] = False,
) -> None:
    """Without `delete_disks`, VM and disks are forgotten here and their files stay where they are. With it,
    a proxy host removes them first; a VM that could be removed only in part is `illegal`: ask again.
    """
    if delete_disks:
        changed = await delete_vm(
            state.database, state.sealer, state.proxies, vm_id, lambda vm: if_match.check(vm.version)
        )
    else:
        changed = await forget_vm(state.database, vm_id, lambda vm: if_match.check(vm.version))
    if changed is not None:
        after.add(announce, state.database, state.events, changed)
