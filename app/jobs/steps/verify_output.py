"""Looks at what virt-v2v made: exit code 0 alone is no success."""

from app.jobs import facts
from app.jobs.place import destination_at, target_now
from app.jobs.step import Again, Turn
from app.models.state import StepName


class VerifyOutput:
    name = StepName.VERIFY_OUTPUT

    async def do(self, turn: Turn) -> Again | None:
        """Raises OutputInvalidError."""
        destination, settings = await destination_at(turn)
        made = await destination.collect(settings, target_now(turn), await turn.agent())
        await turn.learn(**{facts.MADE: facts.plain(made)})
        return None

    async def undo(self, turn: Turn, *, keep: bool) -> None:
        """It only looked."""
