"""Each fault by itself, in a service kept from fault to fault; `scripts/chaos` strikes by the hundred.

The quick run tries each on one of the databases, the long one on both.
"""

from collections.abc import AsyncIterator
from itertools import cycle
from typing import ClassVar

import pytest
import pytest_asyncio

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.rounds import Rounds
from tests.chaos.world import running_world

pytestmark = [pytest.mark.asyncio(loop_scope="class"), pytest.mark.timeout(400)]

SCALE = 0.1
QUICK_ON = dict(zip(sorted(FAULTS), cycle(["sqlite", "postgresql"]), strict=False))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    faults = [
        pytest.param(fault, id=name, marks=() if QUICK_ON[name] == metafunc.cls.kind else pytest.mark.long)
        for name, fault in sorted(FAULTS.items())
    ]
    metafunc.parametrize("fault", faults)


@pytest_asyncio.fixture(scope="class", loop_scope="class")
async def rounds(request: pytest.FixtureRequest) -> AsyncIterator[Rounds]:
    """At its end nothing may be left."""
    async with running_world(request.cls.kind, seed=1, scale=SCALE, guest=None) as world:
        made = Rounds(world)
        async with made.going_on():
            yield made
    assert made.report.is_good, made.report.bad


class Faults:
    """A class is a place in which its tests follow one another."""

    kind: ClassVar[str]

    async def test_every_import_ends_as_it_should_and_leaves_nothing(
        self, rounds: Rounds, fault: Fault
    ) -> None:
        assert await rounds.round(fault) == []


class TestOnSqlite(Faults):
    kind = "sqlite"


class TestOnPostgresql(Faults):
    kind = "postgresql"
