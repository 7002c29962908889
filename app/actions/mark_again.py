"""Marks again what was made for a VM whose import was given up while it took the marks off."""

from collections.abc import Sequence

from app import logs
from app.db import Database
from app.errors import DomainUnusableError, FencedError, NoRoomError, RecordUnreadableError
from app.proxy.agent_client import HostAgent
from app.services import storage_domains, unmarked
from app.services.unmarked import Unmarked

log = logs.get("orphans")


async def mark_again(database: Database, agent: HostAgent, left: Sequence[Unmarked]) -> None:
    """Do the undoing of the import's last step that a forced cancel left out; once for each attempt.

    Raises HostError. What is somebody else's by now, or can't be known any more, is left as it is.
    """
    for each in left:
        try:
            destination, _ = storage_domains.opened(each.domain)
            await destination.reclaim(each.plan, agent, each.attempt_id, each.turn)
        except (DomainUnusableError, RecordUnreadableError) as error:
            log.warning("mark_again.given_up", attempt_id=str(each.attempt_id), error=error.detail)
        except (FencedError, NoRoomError) as error:
            log.warning("mark_again.failed", attempt_id=str(each.attempt_id), error=error.detail)
            continue
        async with database.session() as session:
            await unmarked.marked_again(session, each.attempt_id)
