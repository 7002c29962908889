"""Directories that carry an attempt's marker, named in a plan: released, reclaimed, removed."""

from collections.abc import Sequence
from uuid import UUID

from app.errors import RecordUnreadableError
from app.models.common import Json
from app.proxy.agent_client import HostAgent

DIRECTORIES = "directories"


def plan_of(directories: Sequence[str]) -> Json:
    return {DIRECTORIES: list(directories)}


def _directories(plan: Json) -> list[str]:
    """Raises RecordUnreadableError."""
    found = plan.get(DIRECTORIES)
    if not isinstance(found, list) or not all(isinstance(directory, str) for directory in found):
        raise RecordUnreadableError("What the attempt made on the storage domain can't be read any more.")
    return found


async def release(plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
    """They belong to the VM from now on."""
    for directory in _directories(plan):
        await agent.clear_marker(directory, attempt_id, turn)


async def reclaim(plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
    """The reverse of `release`, for those that are still there."""
    for directory in _directories(plan):
        await agent.mark(directory, attempt_id, turn)


async def discard(plan: Json, agent: HostAgent, owner_id: UUID, turn: int) -> None:
    """Mark and remove what was released; one after the other, so that each makes room for the next."""
    for directory in reversed(_directories(plan)):
        await agent.mark(directory, owner_id, turn)
        await agent.remove_tree(directory, owner_id, turn)


async def remove(plan: Json, agent: HostAgent, attempt_id: UUID, turn: int) -> None:
    """Last made, first removed; what is gone already is fine."""
    for directory in reversed(_directories(plan)):
        await agent.remove_tree(directory, attempt_id, turn)
