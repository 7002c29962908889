"""Faults of file systems: no room where something has to be written."""

import asyncio

from tests.chaos.faults.base import fault
from tests.chaos.world import World
from tests.support.volume import Volume

NO_ROOM = (
    "no_room",
    "host_no_space",
    "work_dir_unusable",
    "storage_domain_unusable",
    "host_command_failed",
    "conversion_failed",
    "no_proxy_host",
)
"""How an import may fail that met a full disk: by its own look, or by that of virt-v2v."""


@fault()
async def work_dir_full(world: World) -> None:
    machine = world.machine()
    assert machine.volume is not None
    await _full(world, machine.volume)


@fault()
async def storage_domain_full(world: World) -> None:
    await _full(world, world.store_volume)


@fault()
async def service_disk_full(world: World) -> None:
    """Where the database lies; PostgreSQL may have to be started again by its administrator."""
    world.database_volume.fill()
    await asyncio.sleep(world.outage(10))
    world.database_volume.free()
    await world.database.revive()


async def _full(world: World, volume: Volume) -> None:
    """Those that begin meanwhile meet it as well."""
    with world.load.failing_with(*NO_ROOM):
        volume.fill()
        await asyncio.sleep(world.outage(10))
        volume.free()
