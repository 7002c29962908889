"""The list of faults, and what they have in common."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.load import Wanted
from tests.chaos.machines import Machine
from tests.chaos.world import World

Strike = Callable[[World], Awaitable[Machine | None]]
MOST_LOSSES = 2
"""So often the service starts over by itself when virt-v2v was taken away."""


@dataclass(frozen=True)
class Fault:
    """One way to break things.

    `strike` returns when what it broke is whole again, and answers the proxy host that was out of use.
    """

    name: str
    strike: Strike
    at_steps: bool
    """Whether it is also struck at the moment when a step begins."""


FAULTS: dict[str, Fault] = {}


def fault(*, at_steps: bool = False) -> Callable[[Strike], Strike]:
    """Add a function to the faults, under its name."""

    def add(strike: Strike) -> Strike:
        name = strike.__name__
        FAULTS[name] = Fault(name, strike, at_steps)
        return strike

    return add


def lose_virt_v2v(wanted: Wanted) -> None:
    """The import's virt-v2v was taken away from outside."""
    wanted.virt_v2v_losses += 1
    if wanted.virt_v2v_losses > MOST_LOSSES:
        wanted.may_fail("conversion_lost", "conversion_killed")
