"""Carries out the one verb that it was started for."""

from __future__ import annotations

import json
import resource
import signal
import sys
from typing import Any, Callable

from app.proxy.agent.refusals import InvalidSourceError, RefusedError, of_system
from app.proxy.agent.verbs import COPY, INSPECT, LOOKING, MOUNTED, PREPARE, RECEIVE, WATCH, act_of

MOST_MEMORY_BYTES = 2 << 30
PATIENCE_SECONDS = 5
"""How much longer than the service we wait: who asks has given up by then."""


def main() -> None:
    verb, words = sys.argv[1], sys.argv[2:]
    if verb == WATCH:
        act_of(verb)(words[0])
        return
    if verb in {PREPARE, MOUNTED}:
        act_of(verb)(words[0], words[1:])
        return
    if verb in {COPY, INSPECT}:
        act_of(verb)(words)
        return
    if verb == RECEIVE:
        opening = json.loads(sys.stdin.buffer.readline())
        _say(_answer(verb, lambda: act_of(verb)(opening, sys.stdin.buffer, _say_begun)))
        return
    request = json.load(sys.stdin.buffer)
    # SSH ends nothing on this side when the service gives up.
    signal.alarm(int(request.pop("timeout_seconds")) + PATIENCE_SECONDS)
    json.dump(_answer(verb, lambda: _carry_out(verb, request)), sys.stdout)


def _say_begun(begun: object) -> None:
    _say({"result": begun})


def _say(answer: dict[str, object]) -> None:
    """One line of several."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _answer(verb: str, act: Callable[[], object]) -> dict[str, object]:
    try:
        return {"result": act()}
    except RefusedError as error:
        return _refused(error)
    except OSError as error:
        return _refused(of_system(error, RefusedError, f"{verb} failed on the proxy host"))
    except MemoryError:
        return _refused(InvalidSourceError("Reading it takes more memory than any sound file needs."))


def _refused(error: RefusedError) -> dict[str, object]:
    return {"code": error.code, "detail": str(error)}


def _carry_out(verb: str, request: dict[str, Any]) -> object:
    mounts = request.pop("mounts", None)
    if mounts:
        act_of("mount_all")(request["work_dir"], mounts)
    if verb in LOOKING:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
        del request["work_dir"]
    return act_of(verb)(**request)
