"""Units of memory and disk sizes, in bytes."""

import re
from typing import Final

from app.errors import InvalidSourceError

_POWER = re.compile(r"bytes?\s*(?:\*\s*([0-9]{1,2})\s*\^\s*([0-9]{1,2}))?")
_BINARY: Final = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_DECIMAL: Final = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_LONG: Final = {"kilobytes": "k", "megabytes": "m", "gigabytes": "g", "terabytes": "t"}
BASES: Final = frozenset({1, 2, 10})
LARGEST_EXPONENT: Final = 60


def ovf_unit_bytes(unit: str) -> int:
    """DSP0243's `byte * 2^20`, or the words that products write (`MegaBytes`, `GB`: powers of 1024).

    Raises InvalidSourceError.
    """
    plain = unit.strip().lower()
    power = _POWER.fullmatch(plain)
    if power is not None:
        base, exponent = int(power.group(1) or 1), int(power.group(2) or 1)
        if base in BASES and exponent <= LARGEST_EXPONENT:
            return int(base**exponent)
    letter = _LONG.get(plain) or (plain[0] if re.fullmatch("[kmgt]i?b", plain) else None)
    if letter is None:
        raise InvalidSourceError(f"The unit {unit[:40]!r} is unknown.")
    return _BINARY[letter]


def libvirt_unit_bytes(unit: str | None, *, default: str) -> int:
    """The units of libvirt ("Domain XML format"): `b`, `KB` = 1000, `KiB` or `k` = 1024, and so on.

    Raises InvalidSourceError.
    """
    plain = (unit or default).strip().lower()
    if plain in {"b", "byte", "bytes"}:
        return 1
    if re.fullmatch("[kmgtp](ib)?", plain):
        return _BINARY[plain[0]]
    if re.fullmatch("[kmgtp]b", plain):
        return _DECIMAL[plain[0]]
    raise InvalidSourceError(f"The unit {plain[:40]!r} is unknown.")
