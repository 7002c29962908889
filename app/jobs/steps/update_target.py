"""Step 9: the VM and its disks as virt-v2v left them, with the properties that were asked for."""

from app.actions.examine import with_identity
from app.jobs import facts
from app.jobs.place import destination_at, target_now
from app.jobs.step import Again, Turn
from app.models.state import StepName
from app.services import attempts, imports, targets


class UpdateTarget:
    name = StepName.UPDATE_TARGET

    async def do(self, turn: Turn) -> Again | None:
        destination, settings = await destination_at(turn)
        agent = await turn.agent()
        made = await destination.finish(
            settings, target_now(turn), facts.made(turn), facts.config(turn), agent
        )
        found = with_identity(made.config or facts.config(turn), turn.spec.vm)
        async with turn.saving() as saved:
            attempts.learn(saved.attempt, **{facts.MADE: facts.plain(made)})
            await targets.update(saved.session, facts.target(turn).vm_id, made, found)
            imports.changed(saved.row)
        return None

    async def undo(self, turn: Turn, *, keep: bool) -> None:
        """The rows go when the target is undone."""
