"""Says what the host is and what its virt-v2v can do."""

from __future__ import annotations

import os
from pathlib import Path

from app.proxy.agent import commands
from app.proxy.agent.jobs import base_environment, program_of
from app.proxy.agent.places import prepare
from app.proxy.agent.refusals import VirtV2vMissingError
from app.proxy.agent.storage import space

ASK_SECONDS = 12.0


def probe(*, work_dir: str, virt_v2v_path: str, environment: dict[str, str]) -> dict[str, object]:
    prepare(work_dir)
    whole = base_environment(environment)
    program = program_of(virt_v2v_path, whole)
    return {
        "is_root": os.geteuid() == 0,
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "free_bytes": space(Path(work_dir))["free_bytes"],
        "v2v_version": _ask([program, "--version"], whole),
        # Versions without it answer with an error, which tells as much.
        "v2v_capabilities": _ask([program, "--machine-readable"], whole, required=False),
    }


def ready(work_dir: str) -> None:
    """The host can be used: this program is there, and so is the work directory."""
    prepare(work_dir)


def _ask(argv: list[str], environment: dict[str, str], *, required: bool = True) -> str:
    done = commands.run(argv, ASK_SECONDS, environment)
    if done.status == 0:
        return done.stdout.decode(errors="replace")
    if required:
        raise VirtV2vMissingError(f"{argv[0]!r} can't be run: {done.stderr or done.status}")
    return ""
