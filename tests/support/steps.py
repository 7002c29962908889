"""Steps with something that happens at moments of their work; and what an import may leave behind."""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import select

from app.jobs.step import Again, Step, Turn
from app.jobs.steps import STEPS
from app.models.attempts import Artifact, Reservation
from app.models.state import StepName
from app.models.vms import Disk, Vm, VmName
from tests.support.engine import Engine

NAMES = [step.name for step in STEPS]

Act = Callable[[], Awaitable[None]]


class Wrapped:
    """A step with something that happens at moments of its work, so many times at each."""

    def __init__(self, inner: Step, acts: dict[str, Act], times: int = 1) -> None:
        self.inner, self.name = inner, inner.name
        self._acts = {moment: [act] * times for moment, act in acts.items()}

    async def do(self, turn: Turn) -> Again | None:
        await self._happen("before_do")
        again = await self.inner.do(turn)
        await self._happen("after_do")
        return again

    async def undo(self, turn: Turn, *, keep: bool) -> None:
        await self._happen("before_undo")
        await self.inner.undo(turn, keep=keep)
        await self._happen("after_undo")

    async def _happen(self, moment: str) -> None:
        if left := self._acts.get(moment):
            await left.pop()()


def with_act(name: StepName, act: Act, *moments: str, times: int = 1) -> Sequence[Step]:
    """The steps; during this one the act happens at these moments."""
    acts = dict.fromkeys(moments, act)
    return [Wrapped(step, acts, times) if step.name == name else step for step in STEPS]


async def assert_nothing_is_left(engine: Engine) -> None:
    async with engine.database.reading() as session:
        for table in (Vm, Disk, VmName, Artifact, Reservation):
            assert (await session.execute(select(table))).all() == [], table
    assert engine.left_on_the_host() == []
