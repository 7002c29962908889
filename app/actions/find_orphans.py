"""Finds what carries our mark on proxy hosts and storage domains and belongs to nobody any more."""

from collections.abc import Iterable
from uuid import UUID

from app.actions.look_for_marks import look_for_marks
from app.db import Database
from app.models.orphans import MarkedThing, Orphan, OrphanKind, UnreachablePlace
from app.proxy.pool import ProxyPool
from app.secrets import Sealer
from app.services import orphans
from app.services.orphans import Ownership


async def find_orphans(
    database: Database, sealer: Sealer, proxies: ProxyPool
) -> tuple[list[Orphan], tuple[UnreachablePlace, ...]]:
    """Newest first; and the places that could not be looked at."""
    looked = await look_for_marks(database, sealer, proxies)
    async with database.reading() as session:
        found = await orphans.ownership(session, looked.things)
    things = each_once((thing for thing in looked.things if found.is_orphan(thing)), found)
    shown = [_public(thing, found) for thing in things]
    return sorted(shown, key=lambda orphan: orphan.id, reverse=True), looked.unreachable


def each_once(things: Iterable[MarkedThing], found: Ownership) -> list[MarkedThing]:
    """Each thing once, as its attempt's own host sees it, or else the first of those that do."""
    chosen: dict[tuple[object, ...], MarkedThing] = {}
    for thing in things:
        is_on_storage = thing.kind is OrphanKind.STORAGE_DIRECTORY
        key = (thing.storage_domain_id, thing.attempt_id, thing.path if is_on_storage else None)
        if key not in chosen or thing.proxy_host_id == _own_host(thing, found):
            chosen[key] = thing
    return list(chosen.values())


def _own_host(thing: MarkedThing, found: Ownership) -> UUID | None:
    known = found.known.get(thing.attempt_id)
    return None if known is None else known.attempt.proxy_host_id


def _public(thing: MarkedThing, found: Ownership) -> Orphan:
    known = found.known.get(thing.attempt_id)
    return Orphan(
        id=thing.id,
        kind=thing.kind,
        proxy_host_id=thing.proxy_host_id,
        storage_domain_id=thing.storage_domain_id,
        attempt_id=thing.attempt_id,
        import_id=None if known is None else known.row.id,
        path=thing.path,
        size_bytes=thing.size_bytes,
        created_at=thing.created_at,
        running=thing.running,
    )
