"""Copies of disks, carried out by the real agent and qemu-img."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

from app.models.vm import SourceDisk
from app.proxy.agent_client import HostAgent, JobState
from app.v2v.command import V2vInput
from app.v2v.copying import ORDER_NAME, CopyOutput, build_copy
from app.v2v.output import Event, OutputReader
from tests.support.hosts import ended


async def looked_at(agent: HostAgent, path: Path, format_name: str | None = None) -> SourceDisk:
    """The disk as a source finds it."""
    image = await agent.image_info(str(path), roots=[str(path.parent)], format=format_name)
    return SourceDisk(
        id=path.name,
        label=path.name,
        capacity_bytes=image.virtual_bytes,
        format=image.format,
        path=image.path,
        chain=image.chain,
    )


def compared(one: Path, format_one: str, other: Path, format_other: str) -> bool:
    """Whether a guest finds the same on both."""
    argv = ["qemu-img", "compare", "-U", "-f", format_one, "-F", format_other, str(one), str(other)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


class CopyJob:
    """An attempt that copies disks."""

    def __init__(self, agent: HostAgent, *, attempt_id: UUID | None = None) -> None:
        self.agent, self.id = agent, attempt_id or uuid4()
        self.directory = Path()

    async def start(
        self,
        disks: Sequence[SourceDisk],
        output: CopyOutput,
        roots: Sequence[Path],
        *,
        before: Callable[[], object] = lambda: None,
    ) -> None:
        """`before` happens after all was looked at and before the copy begins."""
        self.directory = Path((await self.agent.create_attempt(self.id, 1)).directory)
        command = build_copy(V2vInput(argv=(), disks=tuple(disks)), output, attempt_dir=str(self.directory))
        order = json.dumps({**(command.copying or {}), "roots": [str(root) for root in roots]})
        await self.agent.write(self.id, 1, ORDER_NAME, order.encode())
        before()
        argv = self.agent.own(*command.argv)
        await self.agent.launch(self.id, 1, argv, environment={}, secret_files=[])

    async def end(self) -> int:
        status = await ended(self.agent, self.id)
        assert status.state is JobState.EXITED
        assert status.exit_code is not None
        return status.exit_code

    async def run(
        self,
        disks: Sequence[SourceDisk],
        output: CopyOutput,
        roots: Sequence[Path],
        *,
        before: Callable[[], object] = lambda: None,
    ) -> int:
        await self.start(disks, output, roots, before=before)
        return await self.end()

    @property
    def log(self) -> str:
        return (self.directory / "job" / "log").read_text(errors="replace")

    def events(self) -> list[Event]:
        """What the service reads in the log."""
        reader = OutputReader(machine_readable=True)
        data = (self.directory / "job" / "log").read_bytes()
        return [*reader.feed(data).events, *reader.finish().events]
