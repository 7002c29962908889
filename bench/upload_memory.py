#!/usr/bin/env python3
"""Measures how much an API process grows while a file is uploaded through it to a proxy host on this machine.

`bench/upload_memory.py [MIB]` sends so many MiB of zeros (200 by default) in one request.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.service import Place, running_place
from tests.support.uploads import UPLOADS, creation, part

MIB = 2**20
PIECE = bytes(MIB)


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as directory,
        running_place(Path(directory), environment={}) as place,
    ):
        # The first one pays for what is loaded and connected once.
        upload(place, 1)
        before = peak_kib(place)
        seconds = upload(place, size)
        grown = (peak_kib(place) - before) / 1024
        print(f"{size} MiB in {seconds:.1f} s; the peak of the API process's memory grew by {grown:.1f} MiB")


def upload(place: Place, size: int) -> float:
    """Seconds that it took."""
    http = place.service.client
    headers = creation(size * MIB, filename="zeros.img", proxy_host_id=place.proxy_host_id)
    path = http.post(UPLOADS, headers=headers).headers["location"]
    began = time.monotonic()
    length = {"Content-Length": str(size * MIB)}
    answer = http.patch(path, headers=part(0, **length), content=pieces(size), timeout=600)
    answer.raise_for_status()
    return time.monotonic() - began


def pieces(size: int) -> Iterator[bytes]:
    for _ in range(size):
        yield PIECE


def peak_kib(place: Place) -> int:
    """The most memory that the API process ever had (VmHWM)."""
    status = Path(f"/proc/{place.service.child('api')}/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])


if __name__ == "__main__":
    main()
