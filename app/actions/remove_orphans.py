"""Removes orphans: ends their processes, then takes away their directories, if they still are nobody's."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.actions.find_orphans import each_once
from app.actions.look_for_marks import Looked, look_for_marks
from app.db import Database
from app.errors import (
    AppError,
    ConflictError,
    FencedError,
    HostCommandError,
    HostDeadlineError,
    HostUnreachableError,
    NotFoundError,
)
from app.models.orphans import (
    MarkedThing,
    OrphanKind,
    OrphanRemoval,
    RemovalOutcome,
    UnreachablePlace,
    place_tag,
    tag_in,
)
from app.proxy.agent_client import HostAgent, JobState
from app.proxy.pool import ProxyPool
from app.secrets import Sealer
from app.services import orphans, proxy_hosts
from app.services.orphans import Taken

REMOVE_SECONDS = 35.0
"""What takes longer goes on on the host, and is found again, or not, when it is asked for once more."""
AT_ONCE = 8


@dataclass(frozen=True)
class _Tools:
    database: Database
    sealer: Sealer
    proxies: ProxyPool
    grace_seconds: float
    limit: asyncio.Semaphore
    deadline: float
    """On the loop's clock."""


async def remove_orphans(
    database: Database, sealer: Sealer, proxies: ProxyPool, ids: Sequence[UUID], *, grace_seconds: float
) -> tuple[OrphanRemoval, ...]:
    """What became of each. It is looked for anew, and whose it is as well: asking twice is fine."""
    looked = await look_for_marks(database, sealer, proxies, {tag_in(orphan_id) for orphan_id in ids})
    async with database.reading() as session:
        found = await orphans.ownership(session, looked.things)
    things = each_once((thing for thing in looked.things if found.is_ours(thing)), found)
    deadline = asyncio.get_running_loop().time() + REMOVE_SECONDS
    tools = _Tools(database, sealer, proxies, grace_seconds, asyncio.Semaphore(AT_ONCE), deadline)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_remove_of_attempt(tools, [t for t in together if t.id in set(ids)], together))
            for together in _by_attempt(things)
            if any(thing.id in ids for thing in together)
        ]
    removals = {removal.id: removal for task in tasks for removal in task.result()}
    return tuple(removals.get(orphan_id) or _not_found(orphan_id, looked) for orphan_id in ids)


def _by_attempt(things: Iterable[MarkedThing]) -> list[list[MarkedThing]]:
    """What is in the work directory first: it has the processes."""
    together: dict[UUID, list[MarkedThing]] = {}
    for thing in things:
        together.setdefault(thing.attempt_id, []).append(thing)
    return [
        sorted(of_one, key=lambda thing: thing.kind is OrphanKind.STORAGE_DIRECTORY)
        for of_one in together.values()
    ]


def _not_found(orphan_id: UUID, looked: Looked) -> OrphanRemoval:
    """It is gone, if the places where it can be were looked at whole."""
    unseen = [place for place in looked.places - looked.seen if place_tag(place) == tag_in(orphan_id)]
    if not unseen:
        return OrphanRemoval(id=orphan_id, outcome=RemovalOutcome.GONE)
    return _failed(orphan_id, _why_unseen(unseen[0], looked.unreachable))


def _why_unseen(place_id: UUID, unreachable: Sequence[UnreachablePlace]) -> AppError:
    for place in unreachable:
        if place_id in {place.storage_domain_id, place.proxy_host_id}:
            return HostUnreachableError(place.problem.detail)
    return HostUnreachableError("No proxy host that sees the storage domain could be asked.")


def _failed(orphan_id: UUID, error: AppError) -> OrphanRemoval:
    return OrphanRemoval(id=orphan_id, outcome=RemovalOutcome.FAILED, problem=error.to_problem())


async def _remove_of_attempt(
    tools: _Tools, wanted: Sequence[MarkedThing], together: Sequence[MarkedThing]
) -> list[OrphanRemoval]:
    """Remove what is wanted of one attempt's things."""
    async with tools.limit:
        async with tools.database.session() as session:
            taken = await orphans.take(session, wanted)
        removals = [await _remove(tools, thing, taken) for thing in wanted]
    removed = {removal.id for removal in removals if removal.outcome is RemovalOutcome.REMOVED}
    for thing in wanted:
        if thing.id in removed:
            left = [other for other in together if other.id not in removed]
            await _forget(tools, thing, left)
    return removals


async def _forget(tools: _Tools, thing: MarkedThing, left: Sequence[MarkedThing]) -> None:
    kind = orphans.ARTIFACTS[thing.kind]
    is_last = not any(orphans.ARTIFACTS[other.kind] == kind for other in left)
    async with tools.database.session() as session:
        await orphans.forget(session, thing, is_last=is_last)


async def _remove(tools: _Tools, thing: MarkedThing, taken: Taken) -> OrphanRemoval:
    if thing not in taken.orphans:
        return OrphanRemoval(id=thing.id, outcome=RemovalOutcome.OWNED)
    try:
        async with asyncio.timeout_at(tools.deadline):
            await _take_away(await _agent(tools, thing, taken), thing, taken.turn, tools.grace_seconds)
    except FencedError:
        return await _overtaken(tools, thing)
    except TimeoutError:
        return _failed(thing.id, HostDeadlineError(f"It was not gone within {REMOVE_SECONDS:g} s."))
    except AppError as error:
        return _failed(thing.id, error)
    return OrphanRemoval(id=thing.id, outcome=RemovalOutcome.REMOVED)


async def _agent(tools: _Tools, thing: MarkedThing, taken: Taken) -> HostAgent:
    """On the host that has it. A storage directory is removed where its attempt ran, for something of it may
    still run there and write. Raises HostError.
    """
    is_on_storage = thing.kind is OrphanKind.STORAGE_DIRECTORY
    async with tools.database.reading() as session:
        try:
            wanted = taken.host_id if is_on_storage and taken.host_id else thing.proxy_host_id
            host = await proxy_hosts.get(session, wanted)
        except NotFoundError:
            host = await proxy_hosts.get(session, thing.proxy_host_id)
    return await tools.proxies.agent(proxy_hosts.host_address(host, tools.sealer))


async def _take_away(agent: HostAgent, thing: MarkedThing, turn: int, grace_seconds: float) -> None:
    if thing.kind is OrphanKind.UPLOAD:
        await agent.remove_upload(thing.attempt_id)
        return
    status = await agent.stop(thing.attempt_id, turn, grace_seconds=grace_seconds)
    if status.state is JobState.RUNNING:
        raise HostCommandError("Something of virt-v2v survived SIGKILL on the proxy host.")
    if thing.kind is OrphanKind.STORAGE_DIRECTORY and thing.path is not None:
        await agent.remove_tree(thing.path, thing.attempt_id, turn)
    else:
        await agent.remove_attempt(thing.attempt_id, turn)


async def _overtaken(tools: _Tools, thing: MarkedThing) -> OrphanRemoval:
    """A newer turn works on it: a retry's, or another removal's."""
    async with tools.database.reading() as session:
        found = await orphans.ownership(session, [thing])
    if found.is_orphan(thing):
        return _failed(thing.id, ConflictError("Somebody else removes it now."))
    return OrphanRemoval(id=thing.id, outcome=RemovalOutcome.OWNED)
