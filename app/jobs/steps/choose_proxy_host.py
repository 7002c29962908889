"""Step 3: the proxy host. Admission has chosen it; here it is looked at once more."""

from app.errors import HostUnreachableError
from app.jobs.step import Again, Turn
from app.models.state import StepName


class ChooseProxyHost:
    name = StepName.CHOOSE_PROXY_HOST

    async def do(self, turn: Turn) -> Again | None:
        """Raises HostError when the host can't be reached now."""
        agent = await turn.agent()
        if agent.proxy.address.id != turn.host_id:
            raise HostUnreachableError("The proxy host's record has changed.")
        return None

    async def undo(self, turn: Turn, *, keep: bool) -> None:
        """The slot is freed when the attempt ends."""
