"""Makes text from outside safe for a terminal and lays it out in columns."""

import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len

# Control and format characters, surrogates: they can move the cursor, rename the window or reverse a line.
HOSTILE = frozenset({"Cc", "Cf", "Cs"})
KEPT = frozenset("\n\t")


def safe(value: object, *, kept: frozenset[str] = frozenset()) -> str:
    """The value as text in which nothing can steer a terminal."""
    return "".join(
        char if char in kept or unicodedata.category(char) not in HOSTILE else "\N{REPLACEMENT CHARACTER}"
        for char in str(value)
    )


def columns(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Lines with aligned columns; nothing is cut off, so ids stay whole also in a pipe."""
    cells = [list(headers), *([safe(value) for value in row] for row in rows)]
    widths = [max(cell_len(row[number]) for row in cells) for number in range(len(headers))]
    return [_line(row, widths) for row in cells]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def facts(pairs: Sequence[tuple[str, object]]) -> list[str]:
    """`name: value` lines with the values below each other; values that are None are left out."""
    known = [(name, value) for name, value in pairs if value is not None]
    width = max((cell_len(name) for name, _ in known), default=0) + 1
    return [f"{name + ':':<{width}} {safe(value)}" for name, value in known]
