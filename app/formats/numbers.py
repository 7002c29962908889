"""Reads numbers that came from outside: whole, not negative, and no larger than what can be kept."""

from typing import Final

from app.errors import InvalidSourceError

LARGEST_BYTES: Final = 2**63 - 1
MOST_CPUS: Final = 2**16
_MOST_DIGITS: Final = 19


def whole_number(text: str | None, what: str) -> int | None:
    """None where there is none. Raises InvalidSourceError for any other text."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise InvalidSourceError(f"{what} is {text[:40]!r}, which is no whole number.")
    return int(text)


def size_bytes(text: str | None, unit_bytes: int, what: str) -> int | None:
    """So many units in bytes. Raises InvalidSourceError for what is no size of anything."""
    number = whole_number(text, what)
    if number is None:
        return None
    if number * unit_bytes > LARGEST_BYTES:
        raise InvalidSourceError(f"{what} is {number} times {unit_bytes} bytes, which is too much.")
    return number * unit_bytes


def cpu_count(text: str | None) -> int | None:
    """None for 0, too: some descriptions leave the number to the hypervisor. Raises InvalidSourceError."""
    number = whole_number(text, "The number of CPUs")
    if number is not None and number > MOST_CPUS:
        raise InvalidSourceError(f"The number of CPUs is {number}, which is too much.")
    return number or None
