"""Step 5 once more: the VM's configuration, read just before anything is made (days may have passed)."""

from app.actions.examine import Examination, examine, refusals
from app.errors import SourceNotAllowedError, SourceNotFoundError
from app.jobs import facts
from app.jobs.place import records
from app.jobs.step import Again, MovedError, Turn
from app.models.state import StepName
from app.services import admission, attempts, imports, timeline, vm_names

ROOM_SECONDS = 15.0
"""How soon an import that fits only without the others looks for room again."""


class ReadConfig:
    name = StepName.READ_CONFIG

    async def do(self, turn: Turn) -> Again | None:
        """All checks. Raises the first refusal; MovedError when another proxy host may hold the source."""
        found = await _examine(turn)
        for refused in refusals(found, turn.spec, others_work=0, others_target=0):
            raise refused
        if (reason := await _reserve(turn, found)) is not None:
            return Again(ROOM_SECONDS, reason)
        async with turn.saving() as saved:
            await vm_names.reserve(saved.session, turn.data_center_id, found.config.name, turn.import_id)
            attempts.learn(
                saved.attempt,
                **{facts.SOURCE: facts.plain(found.source), facts.CONFIG: facts.plain(found.config)},
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
    async with turn.context.database.session() as session:
        others_work, others_target = await admission.reserve_bytes(
            session, turn.attempt_id, work_bytes=found.work_bytes, target_bytes=found.target_bytes
        )
        refused = refusals(found, turn.spec, others_work=others_work, others_target=others_target)
        if not refused:
            return None
        # What waits must hold nothing, or two that wait for each other would wait for ever.
        await admission.reserve_bytes(session, turn.attempt_id, work_bytes=0, target_bytes=0)
    return f"{refused[0].detail} Other imports hold the rest."


async def _examine(turn: Turn) -> Examination:
    agent = await turn.agent()
    host, domain = await records(turn)
    try:
        return await examine(turn.spec, host, domain, agent)
    except (SourceNotFoundError, SourceNotAllowedError) as error:
        if turn.spec.proxy_host_id is not None:
            raise
        raise MovedError(error) from error
