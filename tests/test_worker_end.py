"""A worker that was told to end does, whatever holds it up."""

import subprocess
import sys

HANGS = """
import asyncio, time
from app import worker

worker.LAST_RESORT_SECONDS = 0.5

async def held_up():
    worker._stop(asyncio.get_running_loop(), asyncio.Event())
    time.sleep(60)

asyncio.run(held_up())
"""


def test_one_whose_loop_is_held_up_ends_and_tells_where() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "in held_up" in done.stderr
