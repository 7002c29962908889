"""Step 10: the VM and its disks are unlocked and belong to the user; nothing of the attempt remains."""

from app.jobs import facts
from app.jobs.place import destination_at
from app.jobs.step import Again, Saved, Turn
from app.jobs.steps import prepare_host, reserve_target
from app.models.attempts import Outcome
from app.models.state import ImportState, StepName
from app.services import attempts, imports, targets, uploads


class ReleaseTarget:
    name = StepName.RELEASE_TARGET

    async def do(self, turn: Turn) -> Again | None:
        """The last commit decides: a cancel that came before it wins, and undoes."""
        destination, _ = await destination_at(turn)
        agent = await turn.agent()
        async with turn.context.database.reading() as session:
            recorded = await attempts.artifact(session, turn.attempt_id, reserve_target.ARTIFACT)
        if recorded is not None:
            await destination.release(recorded.details, agent, turn.attempt_id, turn.turn)
        await agent.remove_attempt(turn.attempt_id, turn.turn)
        async with turn.saving() as saved:
            if saved.row.state != ImportState.RUNNING:
                return Again(0)
            await _succeed(turn, saved, keeps=destination.keeps)
        return None

    async def undo(self, turn: Turn, *, keep: bool) -> None:  # noqa: ARG002
        async with turn.context.database.reading() as session:
            recorded = await attempts.artifact(session, turn.attempt_id, reserve_target.ARTIFACT)
        if recorded is not None:
            destination, _ = await destination_at(turn)
            await destination.discard(recorded.details, await turn.agent(), turn.attempt_id, turn.turn)


async def _succeed(turn: Turn, saved: Saved, *, keeps: bool) -> None:
    vm_id = facts.target(turn).vm_id
    if keeps:
        await targets.unlock(saved.session, saved.row, vm_id)
    else:
        await targets.remove(saved.session, saved.row, vm_id)
    for kind in (prepare_host.ARTIFACT, reserve_target.ARTIFACT):
        await attempts.forget(saved.session, turn.attempt_id, kind)
    await attempts.end(saved.session, saved.attempt, Outcome.SUCCEEDED)
    await imports.end(saved.session, saved.row, ImportState.SUCCEEDED)
    await uploads.consume(saved.session, uploads.ids_in(turn.spec.source))
