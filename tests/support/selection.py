"""Says at the end of a run which tests it left out: nothing is skipped in silence."""

from collections.abc import Sequence

import pytest

_left_out: list[str] = []


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    _left_out.extend(item.nodeid for item in items if item.get_closest_marker("long"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _left_out:
        return
    terminalreporter.section("left out of this run; ./scripts/test --all has them")
    for nodeid in _left_out:
        terminalreporter.line(nodeid)
