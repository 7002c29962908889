"""Every step broken before and after its work, repeated, cancelled, and undone more than once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select

from app.jobs.step import Again, Step, Turn
from app.jobs.steps import STEPS
from app.models.attempts import Artifact, Reservation
from app.models.state import StepName
from app.models.vms import Disk, Vm, VmName
from tests.support.engine import MIB, Engine

NAMES = [step.name for step in STEPS]
ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""The steps' own work is the same on both databases; the whole way is tested on both elsewhere."""

Act = Callable[[], Awaitable[None]]


@dataclass
class Wrapped:
    """A step with something that happens before or after its work, so many times."""

    inner: Step
    before_do: Act | None = None
    after_do: Act | None = None
    before_undo: Act | None = None
    after_undo: Act | None = None
    times: int = 1
    name: StepName = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.inner.name

    async def do(self, turn: Turn) -> Again | None:
        await self._happen(self.before_do)
        again = await self.inner.do(turn)
        await self._happen(self.after_do)
        return again

    async def undo(self, turn: Turn, *, keep: bool) -> None:
        await self._happen(self.before_undo)
        await self.inner.undo(turn, keep=keep)
        await self._happen(self.after_undo)

    async def _happen(self, act: Act | None) -> None:
        if act is not None and self.times > 0:
            self.times -= 1
            await act()


class Twice:
    """A step whose work is done twice each time."""

    def __init__(self, inner: Step) -> None:
        self.inner, self.name = inner, inner.name

    async def do(self, turn: Turn) -> Again | None:
        await self.inner.do(turn)
        return await self.inner.do(turn)

    async def undo(self, turn: Turn, *, keep: bool) -> None:
        await self.inner.undo(turn, keep=keep)
        await self.inner.undo(turn, keep=keep)


async def _break() -> None:
    raise RuntimeError("The power went out.")


def _with(name: StepName, **acts: object) -> Sequence[Step]:
    return [Wrapped(step, **acts) if step.name == name else step for step in STEPS]  # type: ignore[arg-type]  # acts by name


async def _assert_nothing_is_left(engine: Engine) -> None:
    async with engine.database.reading() as session:
        for table in (Vm, Disk, VmName, Artifact, Reservation):
            assert (await session.execute(select(table))).all() == [], table
    assert engine.left_on_the_host() == []


@ONE_DATABASE
@pytest.mark.parametrize("moment", ["before_do", "after_do"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_step_that_breaks_once_is_done_again(engine: Engine, name: StepName, moment: str) -> None:
    context = await engine.context()
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=_with(name, **{moment: _break}))
    assert (row.state, engine.virt_v2v.starts()) == ("succeeded", 1)
    assert len(engine.left_on_the_host()) == 3, "the VM's directory, its disk and its metadata"


@ONE_DATABASE
@pytest.mark.parametrize("name", NAMES[:-1])
async def test_a_step_that_always_breaks_fails_the_import_and_leaves_nothing(
    engine: Engine, name: StepName
) -> None:
    context = await engine.context(host_retry_seconds=0.01)
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=_with(name, after_do=_break, times=1000))
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "internal_error")
    await _assert_nothing_is_left(engine)


@ONE_DATABASE
@pytest.mark.parametrize("moment", ["before_do", "after_do"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_cancel_during_any_step_leaves_nothing(engine: Engine, name: StepName, moment: str) -> None:
    if (name, moment) == (NAMES[-1], "after_do"):
        name = NAMES[-2]  # after the last step there is nothing left to cancel
    context = await engine.context()
    import_id = await engine.queue()

    async def cancel() -> None:
        await engine.cancel(import_id)

    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=_with(name, **{moment: cancel}))
    assert (row.state, row.problem) == ("cancelled", None)
    await _assert_nothing_is_left(engine)


@ONE_DATABASE
@pytest.mark.parametrize("moment", ["before_undo", "after_undo"])
@pytest.mark.parametrize("name", NAMES[:-1])
async def test_an_undo_that_breaks_is_done_again(engine: Engine, name: StepName, moment: str) -> None:
    engine.virt_v2v.plan(size_bytes=MIB)
    context = await engine.context(host_retry_seconds=0.01)
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=_with(name, times=3, **{moment: _break}))
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "output_invalid")
    await _assert_nothing_is_left(engine)


async def test_every_step_may_be_done_twice(engine: Engine) -> None:
    context = await engine.context()
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=[Twice(step) for step in STEPS[:-1]] + [STEPS[-1]])
    assert (row.state, engine.virt_v2v.starts()) == ("succeeded", 1)


async def test_every_step_may_be_undone_twice(engine: Engine) -> None:
    engine.virt_v2v.plan(size_bytes=MIB)
    context = await engine.context()
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=[Twice(step) for step in STEPS])
    assert row.state == "failed"
    await _assert_nothing_is_left(engine)
