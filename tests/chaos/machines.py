"""Proxy hosts of a chaos run: a real sshd behind a road, with a work directory on a volume of its own."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.processes import everything, signal_all
from tests.chaos.road import Road
from tests.support.sshd import SshServer
from tests.support.volume import Volume

LASTING = frozenset({b"watch", b"launch"})
"""The agent's verbs that stay: a launch is the supervisor, too."""


@dataclass
class Machine:
    """One proxy host."""

    name: str
    sshd: SshServer
    road: Road
    home: Path
    virt_v2v_path: str
    most_imports: int
    volume: Volume | None = None
    """The small file system that `home` is on, where it has one of its own."""
    id: str = ""

    @property
    def work_dir(self) -> Path:
        return self.home / "w"

    async def start(self) -> None:
        self.sshd.prepare()
        await asyncio.to_thread(self.sshd.start)
        self.road.target_port = self.sshd.port
        await self.road.open()

    async def stop(self) -> None:
        """End it with everything that it runs."""
        await self.road.close()
        await asyncio.to_thread(self.sshd.stop)
        signal_all(self.processes(), signal.SIGKILL)

    def record(self, data_center_id: str, source_roots: Sequence[Path]) -> dict[str, Any]:
        """The body for POST /v1/proxy-hosts."""
        return {
            "data_center_id": data_center_id,
            "name": self.name,
            "address": "127.0.0.1",
            "port": self.road.port,
            "private_key": self.sshd.client_key.get_secret_value(),
            "host_key": self.sshd.host_key,
            "work_dir": str(self.work_dir),
            "source_roots": [str(root) for root in source_roots],
            "virt_v2v_path": self.virt_v2v_path,
            "max_concurrent_imports": self.most_imports,
            # KVM can be there and crash, and software emulation is fast enough for this.
            "environment": {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"},
        }

    async def restart_sshd(self) -> None:
        await asyncio.to_thread(self.sshd.stop)
        await asyncio.to_thread(self.sshd.start)

    async def reboot(self, seconds: float) -> None:
        """All its processes are killed, what is temporary is emptied, and it is away for a while."""
        await self.road.close()
        await asyncio.to_thread(self.sshd.stop)
        signal_all(self.processes(), signal.SIGKILL)
        for entry in (self.work_dir / "t").glob("*"):
            shutil.rmtree(entry, ignore_errors=True)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.sshd.start)
        await self.road.open()

    def processes(self) -> list[int]:
        """Everything that runs for the service here: agents, supervisors, virt-v2v and its helpers."""
        here = os.fsencode(self.work_dir)
        return [pid for pid, words in everything() if here in words]

    def commands(self) -> list[int]:
        """The agent's short commands, which also go on when their connection is cut."""
        here = os.fsencode(self.work_dir / "agent")
        return [pid for pid, words in everything() if here in words and _verb(words) not in LASTING]

    def things(self) -> list[Path]:
        """What lies in the work directory and belongs to one attempt."""
        found: list[Path] = []
        for name in ("attempts", "t"):
            with contextlib.suppress(FileNotFoundError):
                found += (self.work_dir / name).iterdir()
        return found


def _verb(words: bytes) -> bytes:
    """What an agent was asked to do: the word after its program."""
    return words.partition(b".pyz\0")[2].partition(b"\0")[0]
