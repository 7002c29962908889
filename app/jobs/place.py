"""Where a turn works: the records of its proxy host and storage domain."""

from dataclasses import replace
from uuid import UUID

from app.destinations.base import Destination, Target
from app.errors import ImportFailureError
from app.jobs import facts
from app.jobs.step import Turn
from app.models.common import Shape
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import StorageDomain
from app.services import proxy_hosts, storage_domains


def domain_id(turn: Turn) -> UUID:
    if turn.domain_id is None:
        raise ImportFailureError("No storage domain has been chosen.")
    return turn.domain_id


def host_id(turn: Turn) -> UUID:
    if turn.host_id is None:
        raise ImportFailureError("No proxy host has been chosen.")
    return turn.host_id


async def records(turn: Turn) -> tuple[ProxyHost, StorageDomain]:
    """Raises NotFoundError."""
    async with turn.context.database.reading() as session:
        host = await proxy_hosts.get(session, host_id(turn))
        return host, await storage_domains.get(session, domain_id(turn))


async def destination_at(turn: Turn) -> tuple[Destination[Shape], Shape]:
    """The kind of code behind the storage domain, and the domain's settings. Raises RecordUnreadableError."""
    _, domain = await records(turn)
    return storage_domains.opened(domain)


def target_now(turn: Turn) -> Target:
    """The attempt's target, acted on by this turn."""
    return replace(facts.target(turn), turn=turn.turn)
