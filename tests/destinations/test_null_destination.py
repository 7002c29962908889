"""A rehearsal as a destination: nothing is asked of the host, nothing is kept."""

from uuid import uuid4

from app.destinations.null import Null, NullSettings
from app.proxy.agent_client import HostAgent
from tests.support.images import MIB
from tests.support.requests import target


async def test_it_is_always_usable(local_agent: HostAgent) -> None:
    assert (await Null().check(NullSettings(), local_agent, uuid4())).usable


async def test_the_disks_are_as_they_would_have_been(local_agent: HostAgent) -> None:
    made = await Null().collect(NullSettings(), target(capacities=[MIB, 2 * MIB]), local_agent)
    assert [(disk.number, disk.path, disk.capacity_bytes) for disk in made.disks] == [
        (1, None, MIB),
        (2, None, 2 * MIB),
    ]


def test_virt_v2v_writes_nothing() -> None:
    assert Null().output(NullSettings(), target()).argv == ("-o", "null")


def test_no_vm_is_kept() -> None:
    assert not Null.keeps
