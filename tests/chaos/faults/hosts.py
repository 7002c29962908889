"""Faults of proxy hosts and of the way to them."""

import asyncio
from contextlib import suppress

from tests.chaos.faults.base import fault, lose_virt_v2v
from tests.chaos.load import Wanted
from tests.chaos.machines import Machine
from tests.chaos.world import World


@fault(at_steps=True)
async def ssh_cut(world: World) -> None:
    world.machine().road.cut()


@fault()
async def sshd_restarted(world: World) -> None:
    await world.machine().restart_sshd()


@fault(at_steps=True)
async def host_silent(world: World) -> None:
    """Nothing gets through, and nobody says so."""
    road = world.machine().road
    road.block()
    await asyncio.sleep(world.outage(30))
    road.cut()
    road.unblock()


@fault(at_steps=True)
async def host_refuses(world: World) -> None:
    road = world.machine().road
    await road.close()
    await asyncio.sleep(world.outage(30))
    await road.open()


@fault(at_steps=True)
async def host_rebooted(world: World) -> None:
    machine = world.machine()
    for wanted in await on(world, machine):
        lose_virt_v2v(wanted)
    await machine.reboot(world.outage(30))


@fault(at_steps=True)
async def cancelled(world: World) -> None:
    for wanted in world.chance.sample(world.load.in_flight(), 2):
        await cancel(world, wanted)


@fault()
async def cancelled_while_the_host_is_away(world: World) -> None:
    machine = world.machine()
    await machine.road.close()
    for wanted in (await on(world, machine))[:2]:
        await cancel(world, wanted)
        await cancel(world, wanted)
    await asyncio.sleep(world.outage(30))
    await machine.road.open()


@fault()
async def cancelled_by_force_while_the_host_is_away(world: World) -> None:
    """What is left goes when the host is back, by the list of orphans."""
    machine = world.machine()
    await machine.road.close()
    for wanted in (await on(world, machine))[:1]:
        await cancel(world, wanted, force=True)
    await asyncio.sleep(world.outage(30))
    await machine.road.open()


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
