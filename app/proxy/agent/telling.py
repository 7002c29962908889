"""Says what a job of ours does as virt-v2v would, so that who reads the log needs to know nothing of us."""

from __future__ import annotations

import json
import os
import time

STAGE = "message"
"""virt-v2v's word for what tells that a stage begins."""


class Told:
    """Writes to standard output, which is the job's log."""

    def __init__(self, argv: list[str]) -> None:
        """`argv` is the job's command: whether it asks for messages that programs read."""
        self._machine_readable = any(word.startswith("--machine-readable") for word in argv)
        self._began = time.monotonic()

    def say(self, kind: str, text: str) -> None:
        seconds = time.monotonic() - self._began
        lines = [f"[{seconds:6.1f}] {text}" if kind == STAGE else f"virt-v2v: {kind}: {text}"]
        if self._machine_readable:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            lines.insert(0, json.dumps({"message": text, "timestamp": now, "type": kind}))
        os.write(1, "".join(f"{line}\n" for line in lines).encode())
