"""A user who may not read a source is told before anything starts: the agent reads as virt-v2v would."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from app.errors import SourceUnreadableError
from app.proxy.agent_client import HostAgent
from app.proxy.base import CommandResult
from app.proxy.pool import put_in_place
from app.proxy.program import agent_program
from tests.support.hosts import INSTALLATION_ID, LocalProxy
from tests.support.images import make_image

OVIRT = 36
"""The user and group ids of what oVirt keeps."""
NOBODY = 65_534


class ProxyAs(LocalProxy):
    """Runs what looks as another user, as a login of that user would."""

    def __init__(self, work_dir: Path, user_id: int) -> None:
        super().__init__(work_dir)
        self._become = ["setpriv", f"--reuid={user_id}", f"--regid={user_id}", "--clear-groups"]

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> CommandResult:
        whole = [*self._become, *argv] if argv[-1] in {"image_info", "walk"} else argv
        return await super().run(whole, timeout_seconds=timeout_seconds, stdin=stdin, environment=environment)


@pytest.fixture
def store(work_dir: Path) -> Path:
    """Where others may go through, and read what they may read."""
    folder = work_dir / "store"
    folder.mkdir()
    for directory in (work_dir, folder):
        directory.chmod(0o755)
    image = make_image(folder / "web.img", "raw")
    image.chmod(0o660)
    os.chown(image, OVIRT, OVIRT)
    return folder


async def _agent(work_dir: Path, user_id: int) -> HostAgent:
    proxy = ProxyAs(work_dir, user_id)
    path = work_dir / "agent" / agent_program().name
    await put_in_place(proxy, str(path))
    for part in (path.parent, path):
        part.chmod(0o755)
    return HostAgent(proxy, str(path), INSTALLATION_ID, lambda: put_in_place(proxy, str(path)))


@pytest.mark.parametrize("user_id", [0, OVIRT])
async def test_root_and_ovirt_s_own_user_may_read_what_ovirt_keeps(
    work_dir: Path, store: Path, user_id: int
) -> None:
    agent = await _agent(work_dir, user_id)
    image = await agent.image_info(f"{store}/web.img", roots=[str(store)])
    assert image.format == "raw"


async def test_another_user_is_told_that_the_source_can_t_be_read(work_dir: Path, store: Path) -> None:
    agent = await _agent(work_dir, NOBODY)
    with pytest.raises(SourceUnreadableError, match="Permission denied"):
        await agent.image_info(f"{store}/web.img", roots=[str(store)])


async def test_a_folder_that_can_t_be_read_is_listed_with_the_reason(work_dir: Path, store: Path) -> None:
    (store / "shut").mkdir(mode=0o700)
    make_image(store / "open.qcow2", "qcow2").chmod(0o644)
    walked = await (await _agent(work_dir, NOBODY)).walk(str(store), roots=[str(store)])
    assert [Path(entry.path).name for entry in walked.entries] == ["open.qcow2"]
    assert {Path(refused.path).name: refused.code for refused in walked.refused} == {
        "shut": "source_unreadable",
        "web.img": "source_unreadable",
    }
