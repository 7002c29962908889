"""A storage domain as several proxy hosts see it."""

from pathlib import Path
from uuid import UUID, uuid4

from app.actions.check_domain import check_domain
from app.errors import HostUnreachableError
from app.models.storage_domains import DomainState, StorageDomain
from app.proxy.agent_client import HostAgent

HERE, AWAY = UUID(int=1), UUID(int=2)


def _domain(path: Path, **settings: str) -> StorageDomain:
    given = {"path": str(path), **settings}
    return StorageDomain(data_center_id=uuid4(), name="store", kind="directory", settings=given)


async def test_one_host_that_can_use_it_is_enough_and_the_others_are_told(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    agents = {HERE: local_agent, AWAY: HostUnreachableError("192.0.2.1 did not answer.")}
    status = await check_domain(_domain(tmp_path), agents)
    assert (status.state, status.problem) == (DomainState.UP, None)
    assert status.free_bytes is not None
    assert [(found.proxy_host_id, found.usable) for found in status.proxy_hosts] == [
        (HERE, True),
        (AWAY, False),
    ]
    assert status.proxy_hosts[1].problem is not None
    assert status.proxy_hosts[1].problem.code == "host_unreachable"


async def test_a_directory_that_is_not_there_makes_it_unusable(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    status = await check_domain(_domain(tmp_path / "nothing"), {HERE: local_agent})
    assert status.state is DomainState.UNUSABLE
    assert status.problem is not None
    assert status.problem.code == "storage_domain_unusable"


async def test_only_the_host_that_holds_it_is_asked(local_agent: HostAgent, tmp_path: Path) -> None:
    agents = {HERE: local_agent, AWAY: HostUnreachableError("192.0.2.1 did not answer.")}
    status = await check_domain(_domain(tmp_path, proxy_host_id=str(HERE)), agents)
    assert [found.proxy_host_id for found in status.proxy_hosts] == [HERE]


async def test_without_hosts_nothing_is_known_of_it(tmp_path: Path) -> None:
    status = await check_domain(_domain(tmp_path), {})
    assert (status.state, status.proxy_hosts) == (DomainState.UNVERIFIED, ())
