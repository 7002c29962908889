"""One round after the other: several imports in flight, one fault, and a look at what became of them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import cycle
from pathlib import Path

from app.models.state import StepName
from tests.chaos import inspection
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.load import BOUND_SECONDS, Wanted
from tests.chaos.machines import Machine
from tests.chaos.report import Report
from tests.chaos.world import World
from tests.support.sse import Told
from tests.support.waiting import until

IN_FLIGHT = 8
"""Started anew as they end, so that six are always there."""
START_SECONDS = 180
"""Several worlds start at the same time."""
STEP_SECONDS = 10
"""How long is waited for the beginning of a step at which to strike."""
RECOVERY_SECONDS = 90
DRAIN_SECONDS = 300
POLL_SECONDS = 1.0
REAL_SECONDS = 600
"""How long a real conversion may take on a busy machine."""


class Rounds:
    """The rounds of one world."""

    def __init__(self, world: World, *, guest: Path | None = None, real_every: int = 1) -> None:
        self._world, self.report = world, Report()
        self._guest, self._real_every = guest, real_every
        self._steps = cycle(StepName)
        self._settling: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Imports end and others begin, until at last all have ended."""
        began = time.monotonic()
        self._keeper = asyncio.create_task(self._keep_in_flight())
        try:
            await until(lambda: len(self._world.load.in_flight()) >= IN_FLIGHT, seconds=START_SECONDS)
            yield
        finally:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        await self._drain()
        self.report.seconds = time.monotonic() - began
        self._count()

    async def run(self, faults: Sequence[str], count: int) -> None:
        async with self.going_on():
            for fault in self._order(faults, count):
                await self.round(fault)

    def _order(self, faults: Sequence[str], count: int) -> Iterator[Fault]:
        """Each fault once, in an order of chance, then each again."""
        left: list[str] = []
        for _ in range(count):
            if not left:
                left = self._world.chance.sample(faults, len(faults))
            yield FAULTS[left.pop()]

    async def _keep_in_flight(self) -> None:
        load = self._world.load
        while True:
            await load.top_up(IN_FLIGHT)
            await load.look(load.in_flight())
            self._settle_ended()
            await asyncio.sleep(POLL_SECONDS)

    async def round(self, fault: Fault) -> list[str]:
        """One fault; answers what is wrong since, as sentences."""
        world, known = self._world, self.report.sentences()
        if self._guest is not None and self.report.rounds % self._real_every == self._real_every // 2:
            await self._start_real()
        where = await self._moment(fault)
        struck = world.load.in_flight()
        machine = await fault.strike(world)
        whole_at = time.monotonic()
        for wanted in world.load.in_flight():
            wanted.calm_since = whole_at
        recovery = await self._recovery(whole_at, machine)
        self.report.note(fault.name, recovery)
        await self._until_late_or_ended(struck)
        await self._inspect()
        if self._keeper.done():
            self._keeper.result()
        wrong = [sentence for sentence in self.report.sentences() if sentence not in known]
        told = f"{fault.name}{where}, {len(struck)} in flight, recovered in {recovery:.1f} s"
        print("\n! ".join([f"round {self.report.rounds}: {told}", *wrong]), flush=True)
        return wrong

    async def _moment(self, fault: Fault) -> str:
        """Wait for the moment to strike: any, or the beginning of a step, each in its turn."""
        world = self._world
        if not fault.at_steps or world.chance.random() < 0.5:
            await asyncio.sleep(world.chance.uniform(0, 2))
            return ""
        step = next(self._steps)
        asyncio.get_running_loop().call_later(0.5, self._start_short)
        came = await world.witness.until(lambda told: _is_at(told, step), seconds=STEP_SECONDS)
        return f" at {step}" if came else ""

    def _start_short(self) -> None:
        self._spawn(self._world.load.start(seconds=1))

    async def _start_real(self) -> None:
        world = self._world
        assert self._guest is not None
        wanted = await world.load.start(
            seconds=REAL_SECONDS, source=self._guest, storage_domain_id=world.real_domain_id
        )
        wanted.states = {"succeeded", "cancelled"}
        self.report.real_imports += 1

    async def _recovery(self, whole_at: float, machine: Machine | None) -> float:
        """Seconds until progress flows again: on that proxy host, or else anywhere."""
        witness, host_id = self._world.witness, None
        if machine is not None:
            host_id = machine.id
            self._spawn(self._world.load.start(seconds=1, proxy_host_id=host_id))
        try:
            await until(lambda: witness.progress_at.get(host_id, 0) > whole_at, seconds=RECOVERY_SECONDS)
        except TimeoutError:
            self.report.blame("lost", [f"no progress for {RECOVERY_SECONDS} s on proxy host {host_id}"])
            return RECOVERY_SECONDS
        return witness.progress_at[host_id] - whole_at

    async def _until_late_or_ended(self, struck: list[Wanted]) -> None:
        """Short ones end in this round; long ones go on into the next, and must end in time all the same."""
        short = [wanted for wanted in struck if wanted.seconds < 10]
        await until(
            lambda: not any(wanted.found is None and not wanted.is_late() for wanted in short),
            seconds=2 * BOUND_SECONDS,
        )
        late = [wanted for wanted in self._world.load.in_flight() if wanted.is_late()]
        for wanted in late:
            with contextlib.suppress(AssertionError):
                found = await self._world.client.get(f"/v1/imports/{wanted.id}")
                told = {name: found[name] for name in ("state", "step", "stage", "queue", "retry", "attempt")}
                self.report.blame("lost", [f"import {wanted.id} (number {wanted.number}) is late: {told}"])

    async def _inspect(self) -> None:
        world, report = self._world, self.report
        report.blame("left behind", await inspection.left_behind(world))
        report.blame("doubled", inspection.doubled(world))
        report.blame("over limit", world.limits.faults())
        report.blame("events", world.witness.faults(world.truth))
        report.blame("answers", world.client.broken_answers)
        report.blame("secrets", await inspection.secrets_seen(world))

    def _settle_ended(self) -> None:
        for wanted in self._world.load.all:
            if wanted.found is not None and not wanted.is_settled:
                wanted.is_settled = True
                self._spawn(self._settle(wanted))

    async def _settle(self, wanted: Wanted) -> None:
        self.report.blame("lost", await inspection.settle(self._world, wanted))

    def _spawn(self, work: "asyncio._CoroutineLike[object]") -> None:
        task = asyncio.ensure_future(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _drain(self) -> None:
        """Let everything end, and look a last time at a place that is to be empty."""
        world = self._world
        async with asyncio.timeout(DRAIN_SECONDS + REAL_SECONDS):
            while world.load.in_flight() or self._settling:
                await world.load.look(world.load.in_flight())
                self._settle_ended()
                await asyncio.sleep(POLL_SECONDS)
        await world.witness.catch_up(world.truth)
        await self._inspect()

    def _count(self) -> None:
        world, report = self._world, self.report
        report.imports = len(world.load.all)
        report.limits, report.limits_reached = world.limits.count, world.limits.reached
        report.events, report.reconnects = world.witness.told, world.witness.reconnects
        for wanted in world.load.all:
            if wanted.found is not None:
                report.attempts += wanted.found["attempt"]
                report.ended[wanted.found["state"]] = report.ended.get(wanted.found["state"], 0) + 1


def _is_at(told: Told, step: StepName) -> bool:
    return told.name == "import" and told.data["step"] == step and told.data["state"] == "running"
