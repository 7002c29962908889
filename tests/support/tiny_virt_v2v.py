"""A tiny virt-v2v for tests of the engine: says what it is told to, and really makes the disks.

Its directory tells it what to do: `plan.json` (lines, seconds between them, exit code), and while `hold` is
there it waits before it ends, and before the line that the plan names. Every start appends its process id to
`started`.
"""

import json
import stat
from collections.abc import Sequence
from pathlib import Path

PROGRAM = r"""#!/usr/bin/env python3
import json, os, pathlib, sys, time

here = pathlib.Path(__file__).parent
arguments = sys.argv[1:]
if "--version" in arguments:
    sys.exit(print("virt-v2v 2.2.0"))
if arguments == ["--machine-readable"]:
    sys.exit(print("virt-v2v-2.0\ninput:disk\noutput:local\noutput:null\noutput:vdsm\nmac-option"))

with (here / "started").open("a") as started:
    started.write(f"{os.getpid()}\n")

def after(option):
    return arguments[arguments.index(option) + 1] if option in arguments else None

def say(text):
    os.write(1, text.encode("utf-8", "surrogateescape"))

plan = json.loads((here / "plan.json").read_text())
def hold():
    while (here / "hold").exists():
        time.sleep(0.02)

for line in plan["lines"]:
    if line == plan["hold_before"]:
        hold()
    say(line)
    time.sleep(plan["pause_seconds"])
hold()
if plan["exit_code"] == 0 and after("-o") == "local":
    directory, name = pathlib.Path(after("-os")), after("-on")
    source = pathlib.Path(arguments[arguments.index("disk") + 1] if "disk" in arguments else "/dev/null")
    disk = directory / f"{name}-sda"
    with disk.open("wb") as image:
        image.truncate(plan["size_bytes"] or source.stat().st_size)
    (directory / f"{name}.xml").write_text(
        f"<domain type='kvm'><name>{name}</name><memory unit='KiB'>2097152</memory><vcpu>1</vcpu>"
        "<os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'>"
        f"<driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>"
        "</devices></domain>"
    )
for line in plan["last_lines"]:
    say(line)
sys.exit(plan["exit_code"])
"""


def message(kind: str, text: str) -> str:
    """A message as virt-v2v writes it with `--machine-readable=stream:stdout`: as JSON and plainly."""
    as_json = json.dumps({"message": text, "timestamp": "2024-01-01T00:00:00.000000000+00:00", "type": kind})
    plain = f"[   1.0] {text}" if kind == "message" else f"virt-v2v: {kind}: {text}"
    return f"{as_json}\n{plain}\n"


def bar(percent: int) -> str:
    return f"▐ {percent:3}% [****----]\r"


CONVERSION = (
    message("message", "Opening the source"),
    message("message", "Inspecting the source"),
    message("message", "Converting Debian GNU/Linux 12 (bookworm) to run on KVM"),
    message("message", "Copying disk 1/1"),
    *(bar(percent) for percent in range(0, 101, 10)),
    "\n",
    message("message", "Creating output metadata"),
)


class TinyVirtV2v:
    """The program in a directory of its own, and what it is to do next."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "virt-v2v"
        self._directory = directory
        self.path.write_text(PROGRAM)
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)
        self.plan()

    def plan(
        self,
        lines: Sequence[str] = CONVERSION,
        *,
        last_lines: Sequence[str] = (message("message", "Finishing off"),),
        exit_code: int = 0,
        pause_seconds: float = 0.0,
        size_bytes: int | None = None,
        hold_before: str | None = None,
    ) -> None:
        """What the next start does. `size_bytes`: the disk's, instead of the source's."""
        plan = {
            "lines": list(lines),
            "last_lines": list(last_lines),
            "exit_code": exit_code,
            "pause_seconds": pause_seconds,
            "size_bytes": size_bytes,
            "hold_before": hold_before,
        }
        (self._directory / "plan.json").write_text(json.dumps(plan))

    def hold(self) -> None:
        """Let it wait before it ends, and before the line that the plan names."""
        (self._directory / "hold").touch()

    def let_go(self) -> None:
        (self._directory / "hold").unlink(missing_ok=True)

    def starts(self) -> int:
        """How often it was started."""
        return len(self.process_ids())

    def process_ids(self) -> list[int]:
        """Of all that were started, in order."""
        path = self._directory / "started"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []
