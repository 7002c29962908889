"""Step 7: the VM and its disks in the database, locked, and their place on the storage domain."""

from uuid import UUID

from app.actions.target import new_target
from app.errors import RecordUnreadableError
from app.jobs import facts
from app.jobs.place import destination_at, target_now
from app.jobs.step import Again, Turn
from app.models.imports import VmImport
from app.models.state import StepName
from app.models.vms import DiskState, VmState
from app.services import attempts, imports, targets, timeline

ARTIFACT = "target"


class ReserveTarget:
    name = StepName.RESERVE_TARGET

    async def do(self, turn: Turn) -> Again | None:
        agent = await turn.agent()
        destination, settings = await destination_at(turn)
        if facts.TARGET not in turn.facts:
            target = new_target(
                turn.spec,
                facts.config(turn),
                import_id=turn.import_id,
                attempt_id=turn.attempt_id,
                attempt_number=turn.number,
                turn=turn.turn,
                attempt_dir=facts.place(turn).directory,
            )
            await turn.learn(**{facts.TARGET: facts.plain(target)})
        target = target_now(turn)
        async with turn.saving() as saved:
            plan = destination.plan(settings, target)
            await attempts.record(saved.session, saved.attempt, ARTIFACT, plan)
            only = destination.host_id(settings)
            await targets.lock(saved.session, saved.row, target, facts.config(turn), only)
            timeline.note(saved.session, saved.row, "vm_locked", vm_id=str(target.vm_id))
            imports.changed(saved.row)
        await destination.prepare(settings, target, agent)
        return None

    async def undo(self, turn: Turn, *, keep: bool) -> None:
        async with turn.context.database.reading() as session:
            recorded = await attempts.artifact(session, turn.attempt_id, ARTIFACT)
        if recorded is None:
            return
        if keep:
            async with turn.saving() as saved:
                if (vm_id := _vm_id(turn, saved.row)) is not None:
                    await targets.set_state(saved.session, vm_id, VmState.ILLEGAL, DiskState.ILLEGAL)
            return
        destination, _ = await destination_at(turn)
        await destination.remove(recorded.details, await turn.agent(), turn.attempt_id, turn.turn)
        async with turn.saving() as saved:
            if (vm_id := _vm_id(turn, saved.row)) is not None:
                await targets.remove(saved.session, saved.row, vm_id)
            await attempts.forget(saved.session, turn.attempt_id, ARTIFACT)
            imports.changed(saved.row)


def _vm_id(turn: Turn, row: VmImport) -> UUID | None:
    """The attempt's VM; where its facts are lost, the one that the import says."""
    try:
        return facts.target(turn).vm_id
    except RecordUnreadableError:
        return row.vm_id
