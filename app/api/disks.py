"""Disks of VMs that were imported."""

from uuid import UUID

from fastapi import APIRouter, Response

from app.api.conventions import set_etag
from app.api.deps import ReadingDep, ViewerDep
from app.api.pagination import PageDep, page_of
from app.api.problems import problems
from app.api.work import ServiceRoute
from app.errors import InvalidCursorError, NotFoundError
from app.models.common import Page
from app.models.vms import DiskPublic
from app.services import vms

router = APIRouter(prefix="/v1/disks", tags=["vms"], route_class=ServiceRoute)


@router.get("", operation_id="listDisks", summary="List disks", responses=problems(InvalidCursorError))
async def list_disks(
    _: ViewerDep, query: PageDep, session: ReadingDep, vm_id: UUID | None = None
) -> Page[DiskPublic]:
    """Newest first."""
    found = await vms.disk_page(session, vm_id, before=query.before, limit=query.with_one_more)
    return page_of(found, query, show=vms.public_disk, key=lambda disk: disk.id)


@router.get(
    "/{disk_id:uuid}", operation_id="getDisk", summary="Get a disk", responses=problems(NotFoundError)
)
async def get_disk(_: ViewerDep, disk_id: UUID, session: ReadingDep, response: Response) -> DiskPublic:
    disk = await vms.get_disk(session, disk_id)
    set_etag(response, disk.version)
    return vms.public_disk(disk)
