"""Looks into a source on a proxy host, and tells what clients are to see of it."""

import asyncio
from dataclasses import dataclass, replace
from uuid import UUID

from app.actions.inspect_guest import Inspector
from app.errors import GuestUnreadableError
from app.models.proxy_hosts import ProxyHost
from app.models.vm import Guest
from app.services import source_vms
from app.services.scan_specs import ScanItem
from app.sources import mounted
from app.sources.base import Site
from app.sources.mounted import Place
from app.sources.scans import ScanSource, scanner_of
from app.sources.scans.base import Found


@dataclass(frozen=True)
class Scanned:
    items: tuple[ScanItem, ...]
    complete: bool


@dataclass(frozen=True)
class Deep:
    """Whose look into the guests it is: the scan's, by this turn."""

    host: ProxyHost
    scan_id: UUID
    turn: int
    seconds: float
    """How long all looks may take: what is found is told in time, also without some of the guests."""


async def scan_source(source: ScanSource, here: Site, deep: Deep | None = None) -> Scanned:
    """Raises what keeps all of it from being looked at; what can't be imported is told in its place."""
    place = mounted.place_of(source, here.roots, here.agent.proxy.address.work_dir)
    site = mounted.site_of(place, here)
    with mounted.told_as_address(place):
        findings = await scanner_of(source.kind).scan(mounted.moved(source, place), site)
    items = [_item(_addressed(one, place) if place else one) for one in findings.found]
    if deep is not None:
        inspector = _inspector(deep, site, place)
        pairs = zip(findings.found, items, strict=True)
        ends_at = asyncio.get_running_loop().time() + deep.seconds
        items = [await _looked_into(inspector, one, item, ends_at, place) for one, item in pairs]
    return Scanned(tuple(items), findings.complete)


def _inspector(deep: Deep, site: Site, place: Place | None) -> Inspector:
    mounts = (place.mount,) if place else ()
    return Inspector(site, deep.host, deep.scan_id, deep.turn, mounts)


async def _looked_into(
    inspector: Inspector, found: Found, item: ScanItem, ends_at: float, place: Place | None
) -> ScanItem:
    """The item with what is in the guest, one after the other: each takes a core and a GiB of the host."""
    if found.config is None:
        return item
    try:
        with mounted.told_as_address(place):
            guest = await _guest_in_time(inspector, found, ends_at)
    except GuestUnreadableError as error:
        return item.model_copy(update={"guest_problem": error.to_problem()})
    config = found.config.model_copy(update={"guest": guest})
    return item.model_copy(update={"vm": source_vms.shown(config, path=item.path)})


async def _guest_in_time(inspector: Inspector, found: Found, ends_at: float) -> Guest:
    try:
        async with asyncio.timeout_at(ends_at):
            return await inspector.guest_of(found)
    except TimeoutError as error:
        raise GuestUnreadableError("The scan's time was over; scan this VM by itself.") from error


def _addressed(found: Found, place: Place) -> Found:
    """What was found in a mount, by the path that clients know."""
    source, path = found.source, getattr(found.source, "path", None)
    if source is not None and path is not None:
        source = source.model_copy(update={"path": place.address(path)})
    problem = mounted.readdressed(found.problem, place) if found.problem else None
    path = place.address(found.path) if found.path else None
    return replace(found, path=path, source=source, problem=problem)


def _item(found: Found) -> ScanItem:
    return ScanItem.model_validate(
        {
            "path": found.path,
            "source": found.source.model_dump(mode="json") if found.source else None,
            "vm": source_vms.shown(found.config, path=found.path) if found.config else None,
            "problem": found.problem.to_problem() if found.problem else None,
        }
    )
