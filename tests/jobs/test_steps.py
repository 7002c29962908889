"""Every step broken before and after its work, repeated, cancelled, and undone more than once."""

from collections.abc import Awaitable, Callable, Sequence

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


def _with(name: StepName, act: Act, *moments: str, times: int = 1) -> Sequence[Step]:
    """The steps; during this one the act happens at these moments."""
    acts = dict.fromkeys(moments, act)
    return [Wrapped(step, acts, times) if step.name == name else step for step in STEPS]


async def _assert_nothing_is_left(engine: Engine) -> None:
    async with engine.database.reading() as session:
        for table in (Vm, Disk, VmName, Artifact, Reservation):
            assert (await session.execute(select(table))).all() == [], table
    assert engine.left_on_the_host() == []


@ONE_DATABASE
@pytest.mark.parametrize("name", NAMES)
async def test_a_step_that_breaks_before_and_after_its_work_is_done_again(
    engine: Engine, name: StepName
) -> None:
    context = await engine.context()
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=_with(name, _break, "before_do", "after_do"))
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
        row = await engine.drive(context, import_id, steps=_with(name, _break, "after_do", times=1000))
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "internal_error")
    await _assert_nothing_is_left(engine)


@ONE_DATABASE
@pytest.mark.parametrize(
    ("name", "moment"),
    [
        *((name, "before_do") for name in NAMES),
        (StepName.CONVERT_DISKS, "after_do"),
        (StepName.UPDATE_TARGET, "after_do"),
    ],
)
async def test_a_cancel_during_any_step_leaves_nothing(engine: Engine, name: StepName, moment: str) -> None:
    context = await engine.context()
    import_id = await engine.queue()

    async def cancel() -> None:
        await engine.cancel(import_id)

    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=_with(name, cancel, moment))
    assert (row.state, row.problem) == ("cancelled", None)
    await _assert_nothing_is_left(engine)


@ONE_DATABASE
@pytest.mark.parametrize("name", NAMES[:-1])
async def test_an_undo_that_breaks_before_and_after_its_work_is_done_again(
    engine: Engine, name: StepName
) -> None:
    engine.virt_v2v.plan(size_bytes=MIB)
    context = await engine.context(host_retry_seconds=0.01)
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=_with(name, _break, "before_undo", "after_undo"))
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
