"""The attempt's private directories on the proxy host."""

from app.jobs import facts
from app.jobs.step import Again, Turn
from app.models.state import StepName
from app.services import attempts

ARTIFACT = "attempt"


class PrepareHost:
    name = StepName.PREPARE_HOST

    async def do(self, turn: Turn) -> Again | None:
        agent = await turn.agent()
        async with turn.saving() as saved:
            await attempts.record(saved.session, saved.attempt, ARTIFACT, {"host_id": str(turn.host_id)})
        place = await agent.create_attempt(turn.attempt_id, turn.turn)
        await turn.learn(**{facts.PLACE: facts.plain(place)})
        return None

    async def undo(self, turn: Turn, *, keep: bool) -> None:
        if keep:
            return
        async with turn.context.database.reading() as session:
            recorded = await attempts.artifact(session, turn.attempt_id, ARTIFACT)
        if recorded is None:
            return
        await (await turn.agent()).remove_attempt(turn.attempt_id, turn.turn)
        async with turn.saving() as saved:
            await attempts.forget(saved.session, turn.attempt_id, ARTIFACT)
