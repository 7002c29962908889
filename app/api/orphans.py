"""`/v1/orphans`: what was left behind on proxy hosts and storage domains, and its removal."""

from fastapi import APIRouter

from app.actions.find_orphans import find_orphans
from app.actions.remove_orphans import remove_orphans
from app.api.deps import AdminDep, StateDep
from app.api.pagination import PageDep, page_of
from app.api.problems import problems
from app.api.work import ServiceRoute
from app.errors import InvalidCursorError
from app.models.orphans import OrphanPage, OrphanRemovals, OrphansRemove

router = APIRouter(prefix="/v1/orphans", tags=["orphans"], route_class=ServiceRoute)


@router.get(
    "", operation_id="listOrphans", summary="List what nobody owns", responses=problems(InvalidCursorError)
)
async def list_orphans(caller: AdminDep, query: PageDep, state: StateDep) -> OrphanPage:
    """What carries this installation's mark on proxy hosts and storage domains, and belongs to no live
    import, to no VM and to nothing that a failed import was to keep. Newest first. It is looked for now, on
    all proxy hosts at once; those that can't be asked are in `unreachable`.
    """
    found, unreachable = await find_orphans(state.database, state.sealer, state.proxies)
    rest = [orphan for orphan in found if query.before is None or orphan.id < query.before]
    page = page_of(rest, query, show=lambda orphan: orphan, key=lambda orphan: orphan.id)
    return OrphanPage(items=page.items, next_cursor=page.next_cursor, unreachable=list(unreachable))


@router.post("/remove", operation_id="removeOrphans", summary="Remove orphans", responses=problems())
async def remove(caller: AdminDep, body: OrphansRemove, state: StateDep) -> OrphanRemovals:
    """Ends their processes, then removes secrets, directories and disks. Whose they are is looked at anew
    just before. Each id has its own outcome; what `failed` may be asked for again.
    """
    return OrphanRemovals(
        items=await remove_orphans(
            state.database,
            state.sealer,
            state.proxies,
            body.ids,
            grace_seconds=state.settings.stop_grace_seconds,
        )
    )
