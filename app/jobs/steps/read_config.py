"""Step 5 once more: the VM's configuration, read just before anything is made (days may have passed)."""

from app.actions.examine import Examination, examine, refusals
from app.errors import SourceNotAllowedError, SourceNotFoundError
from app.jobs import facts
from app.jobs.place import records
from app.jobs.step import Again, MovedError, Turn
from app.models.state import StepName
from app.services import attempts, imports, room, timeline, vm_names
from app.services.room import Room
from app.sources.provider_vm import provider_id_in

ROOM_SECONDS = 15.0
"""How soon an import that fits only without the others looks for room again."""


class ReadConfig:
    name = StepName.READ_CONFIG

    async def do(self, turn: Turn) -> Again | None:
        """All checks. Raises the first refusal; MovedError when another proxy host may hold the source."""
        found = await _examine(turn)
        if (reason := await _reserve(turn, found)) is not None:
            return Again(ROOM_SECONDS, reason)
        async with turn.saving() as saved:
            await vm_names.reserve(saved.session, turn.data_center_id, found.config.name, turn.import_id)
            attempts.learn(
                saved.attempt,
                **{
                    facts.SOURCE: facts.plain(found.source),
                    facts.CONFIG: facts.plain(found.config),
                    facts.BEHIND: found.spec.source.model_dump(mode="json"),
                    facts.ROOTS: list(found.roots),
                    facts.MOUNTS: [mount.model_dump() for mount in found.mounts],
                },
            )
            timeline.note(
                saved.session,
                saved.row,
                "config_read",
                name=found.config.name,
                concerns=[concern.code for concern in found.concerns],
            )
            imports.changed(saved.row)
        return None

    async def undo(self, turn: Turn, *, keep: bool) -> None:
        """The name is given back when the import ends."""


async def _reserve(turn: Turn, found: Examination) -> str | None:
    """Hold the bytes that the import needs; or, when others hold too many now, why it has to wait."""
    needed = Room(found.work_bytes, found.target_bytes)
    async with turn.context.database.session() as session:
        others = await room.ask(session, turn.attempt_id, needed)
        # What others wrote into the work directory comes free with them; it alone is no reason to fail.
        for refused in refusals(found, turn.spec, others_work=-others.work, others_target=0):
            raise refused
        refused_now = refusals(found, turn.spec, others_work=others.work, others_target=others.target)
        if not refused_now:
            return None
        await room.wait(session, turn.attempt_id, needed)
    return f"{refused_now[0].detail} Other imports hold the rest, or have waited for longer."


async def _examine(turn: Turn) -> Examination:
    agent = await turn.agent()
    host, domain = await records(turn)
    provider = await turn.context.providers.source(provider_id_in(turn.spec.source))
    try:
        return await examine(turn.spec, host, domain, agent, provider)
    except (SourceNotFoundError, SourceNotAllowedError) as error:
        if turn.spec.proxy_host_id is not None:
            raise
        raise MovedError(error) from error
