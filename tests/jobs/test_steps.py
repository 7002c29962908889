"""Every step broken before and after its work, repeated, and undone more than once."""

import pytest

from app.jobs.step import Again, Step, Turn
from app.jobs.steps import STEPS
from app.models.state import StepName
from tests.support.engine import MIB, Engine
from tests.support.steps import NAMES, assert_nothing_is_left, with_act

ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""The steps' own work is the same on both databases; the whole way is tested on both elsewhere."""


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


@ONE_DATABASE
@pytest.mark.parametrize("name", NAMES)
async def test_a_step_that_breaks_before_and_after_its_work_is_done_again(
    engine: Engine, name: StepName
) -> None:
    context = await engine.context()
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(context, import_id, steps=with_act(name, _break, "before_do", "after_do"))
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
        row = await engine.drive(context, import_id, steps=with_act(name, _break, "after_do", times=1000))
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "internal_error")
    await assert_nothing_is_left(engine)


@ONE_DATABASE
@pytest.mark.parametrize("name", NAMES[:-1])
async def test_an_undo_that_breaks_before_and_after_its_work_is_done_again(
    engine: Engine, name: StepName
) -> None:
    engine.virt_v2v.plan(size_bytes=MIB)
    context = await engine.context(host_retry_seconds=0.01)
    import_id = await engine.queue()
    async with engine.watching(context):
        row = await engine.drive(
            context, import_id, steps=with_act(name, _break, "before_undo", "after_undo")
        )
    assert row.problem is not None
    assert (row.state, row.problem.code) == ("failed", "output_invalid")
    await assert_nothing_is_left(engine)


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
    await assert_nothing_is_left(engine)
