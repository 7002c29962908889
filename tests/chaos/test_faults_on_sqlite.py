"""Each fault by itself in a service on SQLite; `scripts/chaos` strikes by the hundred."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos.cases import MARKS, SCALE, cases
from tests.chaos.faults import Fault
from tests.chaos.rounds import Rounds
from tests.chaos.world import running_world

pytestmark = MARKS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rounds() -> AsyncIterator[Rounds]:
    """A service that is kept from fault to fault; at its end nothing may be left."""
    async with running_world("sqlite", seed=1, scale=SCALE, guest=None) as world:
        made = Rounds(world)
        async with made.going_on():
            yield made
    assert made.report.is_good, made.report.bad


@pytest.mark.parametrize("fault", cases("sqlite"))
async def test_every_import_ends_as_it_should_and_leaves_nothing(rounds: Rounds, fault: Fault) -> None:
    assert await rounds.round(fault) == []
