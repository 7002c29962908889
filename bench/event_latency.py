#!/usr/bin/env python3
"""Measures how long after virt-v2v wrote a bar a client of the event stream has it.

    .venv/bin/python bench/event_latency.py [SECONDS]

The whole road: a log file on the proxy host, sshd, the watcher, Redis, the hub, HTTP; the tests' stand-in
is the virt-v2v. Prints the number of bars and the median, 95th percentile and largest delay in milliseconds.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.service import Place, running_place  # the checkout must be found first


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as directory,  # sockets need a short path
        running_place(Path(directory), environment={}) as place,
    ):
        delays = sorted(_delays(place, seconds))
    print(
        f"{len(delays)} bars: median {statistics.median(delays) * 1000:.0f} ms, "
        f"95 % within {delays[int(len(delays) * 0.95)] * 1000:.0f} ms, "
        f"largest {delays[-1] * 1000:.0f} ms"
    )


def _delays(place: Place, seconds: float) -> list[float]:
    """A bar that was overtaken by the next one before it was told doesn't count."""
    seen = _seen(place, seconds)
    written: dict[int, float] = {}
    for line in (place.program_dir / "bars").read_text().splitlines():
        at, percent = line.split()
        written.setdefault(int(percent), float(at))
    return [seen[percent] - at for percent, at in written.items() if percent in seen and percent > 0]


def _seen(place: Place, seconds: float) -> dict[int, float]:
    """When each percentage was first told."""
    store, disk = place.sources.parent / "store", place.sources / "disk.qcow2"
    store.mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1G"], check=True)
    place.control(copy_seconds=seconds)
    body = {
        "source": {"kind": "disk", "path": str(disk)},
        "storage_domain_id": place.domain("store", "directory", store),
    }
    import_id = place.service.post("/v1/imports", body, status=202)["id"]
    seen: dict[int, float] = {}
    with place.service.client.stream("GET", f"/v1/imports/{import_id}/events") as answer:
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            if line.startswith("data: ") and name == "progress":
                percent = json.loads(line.removeprefix("data: "))["disk_progress"][0]["percent"]
                if percent is not None:
                    seen.setdefault(int(percent), time.time())
    return seen


if __name__ == "__main__":
    main()
