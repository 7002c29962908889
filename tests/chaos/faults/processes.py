"""Faults of the service's own processes and their clocks."""

import asyncio
import signal

from tests.chaos.faults.base import fault
from tests.chaos.processes import signal_all
from tests.chaos.world import World
from tests.support.waiting import until

DEAD_SECONDS = 10
"""Longer than the others wait until they take a worker that is silent for dead."""
STOP_BOUND_SECONDS = 5


@fault(at_steps=True)
async def worker_killed(world: World) -> None:
    """`up` starts it again."""
    signal_all(world.up.children("worker"), signal.SIGKILL)


@fault(at_steps=True)
async def worker_terminated(world: World) -> None:
    signal_all(world.up.children("worker"), signal.SIGTERM)


@fault()
async def api_killed(world: World) -> None:
    signal_all(world.up.children("api"), signal.SIGKILL)


@fault()
async def api_terminated(world: World) -> None:
    signal_all(world.up.children("api"), signal.SIGTERM)


@fault(at_steps=True)
async def api_and_worker_killed(world: World) -> None:
    signal_all([*world.up.children("api"), *world.up.children("worker")], signal.SIGKILL)


@fault()
async def api_and_worker_terminated(world: World) -> None:
    signal_all([*world.up.children("api"), *world.up.children("worker")], signal.SIGTERM)


@fault(at_steps=True)
async def service_killed(world: World) -> None:
    """`up` with all its children, which end with it; an administrator starts it again."""
    await world.up.end(signal.SIGKILL)
    world.up.start()


@fault()
async def service_deployed(world: World) -> None:
    """Stopped in order, within its time, and started again."""
    took = await world.up.end(signal.SIGTERM)
    assert took < 2 * STOP_BOUND_SECONDS, f"it took {took:.1f} s to stop"
    world.up.start()


@fault(at_steps=True)
async def second_worker_killed(world: World) -> None:
    """The one that follows everything is gone, and nobody starts it again."""
    await _with_second_worker(world)
    signal_all(world.up.children("worker"), signal.SIGKILL)
    await asyncio.sleep(3)
    await world.second.end(signal.SIGKILL)


@fault()
async def second_worker_terminated(world: World) -> None:
    await _with_second_worker(world)
    await world.second.end(signal.SIGTERM)


@fault()
async def worker_frozen(world: World) -> None:
    """It stands still until the others have taken over what it did, and then goes on."""
    await _with_second_worker(world)
    frozen = world.up.children("worker")
    signal_all(frozen, signal.SIGSTOP)
    await asyncio.sleep(DEAD_SECONDS)
    signal_all(frozen, signal.SIGCONT)
    await world.second.end(signal.SIGTERM)


@fault()
async def clock_jumps_forward(world: World) -> None:
    await _jump(world, 3600)


@fault()
async def clock_jumps_back(world: World) -> None:
    await _jump(world, -3600)


@fault()
async def clocks_differ(world: World) -> None:
    """Two workers, of which one lives in another hour."""
    world.second_clock.jump(world.chance.choice([-1800, 1800]))
    await _with_second_worker(world)
    await asyncio.sleep(2)
    await world.second.end(signal.SIGTERM)
    world.second_clock.jump(0)


async def _jump(world: World, seconds: float) -> None:
    world.clock.jump(seconds)
    await asyncio.sleep(world.outage(30))
    world.clock.jump(0)
    # Programs read the clock anew once a second.
    await asyncio.sleep(1)


async def _with_second_worker(world: World) -> None:
    """A second worker that works."""
    before = world.log.read_text(errors="replace").count("worker.started")
    world.second.start()
    await until(lambda: world.log.read_text(errors="replace").count("worker.started") > before, seconds=180)
