"""Which fault is tested on which database: the quick run tries each on one of them, the long one on both."""

from itertools import cycle
from typing import Any

import pytest

from tests.chaos.faults import FAULTS

KINDS = ("sqlite", "postgresql")
QUICK = dict(zip(sorted(FAULTS), cycle(KINDS), strict=False))
SCALE = 0.1
MARKS = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]


def cases(kind: str) -> list[Any]:
    """The faults as a test's parameters."""
    return [
        pytest.param(fault, id=name, marks=() if QUICK[name] == kind else pytest.mark.long)
        for name, fault in sorted(FAULTS.items())
    ]
