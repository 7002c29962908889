"""Runs a short command with a deadline."""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

from app.proxy.agent.refusals import RefusedError


class TooSlowError(RefusedError):
    """The command was ended, for it took too long."""


class Finished(NamedTuple):
    status: int
    stdout: bytes
    stderr: str


def run(argv: list[str], seconds: float, environment: dict[str, str] | None = None) -> Finished:
    """Wait for its end; any status is a result. Raises TooSlowError, RefusedError when it isn't installed."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"} if environment is None else environment,
        )
    except subprocess.TimeoutExpired as error:
        raise TooSlowError(f"{argv[0]} did not end within {seconds:g} s.") from error
    except FileNotFoundError as error:
        raise RefusedError(f"{argv[0]} is not installed on the proxy host.") from error
    return Finished(done.returncode, done.stdout, done.stderr.decode(errors="replace").strip())
