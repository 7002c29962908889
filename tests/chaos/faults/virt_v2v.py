"""Faults of virt-v2v itself."""

import contextlib
import json
import os
import signal
from pathlib import Path

from tests.chaos.faults.base import fault, lose_virt_v2v
from tests.chaos.load import Wanted
from tests.chaos.world import World

STALL_SECONDS = 8
"""Longer than a worker may be away: what it can't see is no stall."""


@fault(at_steps=True)
async def virt_v2v_killed(world: World) -> None:
    """By its process id, as the kernel's out-of-memory killer does."""
    runs = _running(world)
    if runs:
        pid, wanted = world.chance.choice(runs)
        lose_virt_v2v(wanted)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@fault()
async def virt_v2v_hangs(world: World) -> None:
    limit = {"stall_limit_seconds": STALL_SECONDS}
    wanted = await world.load.start(seconds=2, control={"behaviour": "hang"}, conversion=limit)
    wanted.states = set()
    wanted.may_fail("stalled")
    wanted.seconds += STALL_SECONDS


@fault()
async def virt_v2v_leaves_out_a_disk(world: World) -> None:
    await _misbehaves(world, "missing_disk", "output_invalid")


@fault()
async def virt_v2v_leaves_a_short_disk(world: World) -> None:
    await _misbehaves(world, "short_disk", "output_invalid")


@fault()
async def virt_v2v_fails_after_the_copy(world: World) -> None:
    await _misbehaves(world, "fail_after_copy", "conversion_failed")


@fault()
async def virt_v2v_writes_garbage(world: World) -> None:
    await world.load.start(seconds=2, control={"behaviour": "garbage"})


async def _misbehaves(world: World, behaviour: str, code: str) -> None:
    wanted = await world.load.start(seconds=2, control={"behaviour": behaviour})
    wanted.states = set()
    wanted.may_fail(code)


def _running(world: World) -> list[tuple[int, Wanted]]:
    """The stand-ins that run now, by their process ids."""
    by_source = {str(wanted.source): wanted for wanted in world.load.in_flight()}
    runs = [json.loads(line) for line in (world.program_dir / "runs").read_text().splitlines()]
    return [
        (run["pid"], by_source[run["source"]])
        for run in runs
        if run["source"] in by_source and _is_stand_in(run["pid"], run["source"])
    ]


def _is_stand_in(pid: int, source: str) -> bool:
    with contextlib.suppress(OSError):
        return source.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
