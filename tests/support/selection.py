"""Says at the end of a run which tests it left out: nothing is skipped in silence."""

from collections.abc import Sequence
from typing import Any

import pytest

KEY = "left_out"

_left_out: set[str] = set()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    _left_out.update(item.nodeid for item in items if item.get_closest_marker("long"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a process of its own (pytest-xdist), tell the one that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[KEY] = sorted(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _left_out.update(getattr(node, "workeroutput", {}).get(KEY, ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _left_out:
        return
    terminalreporter.section("left out of this run; ./scripts/test --all has them")
    for nodeid in sorted(_left_out):
        terminalreporter.line(nodeid)
