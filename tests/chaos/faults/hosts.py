"""Faults of proxy hosts and of the way to them."""

import asyncio
from contextlib import suppress

from tests.chaos.faults.base import fault, lose_virt_v2v
from tests.chaos.load import Wanted
from tests.chaos.machines import Machine
from tests.chaos.world import World
from tests.support.waiting import until

ORPHANS_SECONDS = 60


@fault(at_steps=True)
async def ssh_cut(world: World) -> Machine:
    machine = world.machine()
    machine.road.cut()
    return machine


@fault()
async def sshd_restarted(world: World) -> Machine:
    machine = world.machine()
    await machine.restart_sshd()
    return machine


@fault(at_steps=True)
async def host_silent(world: World) -> Machine:
    """Nothing gets through, and nobody says so."""
    machine = world.machine()
    machine.road.block()
    await asyncio.sleep(world.outage(30))
    machine.road.cut()
    machine.road.unblock()
    return machine


@fault(at_steps=True)
async def host_refuses(world: World) -> Machine:
    machine = world.machine()
    await machine.road.close()
    await asyncio.sleep(world.outage(30))
    await machine.road.open()
    return machine


@fault(at_steps=True)
async def host_rebooted(world: World) -> Machine:
    machine = world.machine()
    for wanted in await on(world, machine):
        lose_virt_v2v(wanted)
    await machine.reboot(world.outage(30))
    return machine


@fault(at_steps=True)
async def cancelled(world: World) -> None:
    for wanted in world.chance.sample(world.load.in_flight(), 2):
        await cancel(world, wanted)


@fault()
async def cancelled_while_the_host_is_away(world: World) -> Machine:
    machine = world.machine()
    await machine.road.close()
    for wanted in (await on(world, machine))[:2]:
        await cancel(world, wanted)
        await cancel(world, wanted)
    await asyncio.sleep(world.outage(30))
    await machine.road.open()
    return machine


@fault()
async def cancelled_by_force_while_the_host_is_away(world: World) -> Machine:
    """What is left goes when the host is back, by the list of orphans."""
    machine = world.machine()
    await machine.road.close()
    for wanted in (await on(world, machine))[:1]:
        await cancel(world, wanted, force=True)
    await asyncio.sleep(world.outage(30))
    # A command that was cut off may still make something: only then is everything on the list.
    await until(lambda: not machine.commands())
    await machine.road.open()
    await remove_orphans(world)
    return machine


async def remove_orphans(world: World) -> None:
    """As an administrator does who looks what was left, until there is nothing more."""
    async with asyncio.timeout(ORPHANS_SECONDS):
        while True:
            listed = await world.client.get("/v1/orphans")
            if not listed["items"] and not listed["unreachable"]:
                return
            await world.client.post("/v1/orphans/remove", {"ids": [item["id"] for item in listed["items"]]})
            await asyncio.sleep(0.5)


async def cancel(world: World, wanted: Wanted, *, force: bool = False) -> None:
    """Who was told that it is cancelled must never see it succeed."""
    answer = await world.client.post(f"/v1/imports/{wanted.id}/cancel", {"force": force})
    if answer.is_success:
        wanted.states = {"cancelled"}


async def on(world: World, machine: Machine) -> list[Wanted]:
    """The imports in flight whose attempt is on this host."""
    found = []
    for wanted in world.load.in_flight():
        with suppress(AssertionError):
            if (await world.client.get(f"/v1/imports/{wanted.id}"))["proxy_host_id"] == machine.id:
                found.append(wanted)
    return found
