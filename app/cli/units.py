"""Sizes, rates and times as people write and read them."""

import re
from datetime import UTC, datetime

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
STEP = 1024
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
MINUTE = 60
HOUR = 3600
UNKNOWN = "-"


def parse_size(text: str) -> int:
    """Bytes of `512M`, `2G`, `1.5GiB`, `1048576`; a unit is a power of 1024. Raises ValueError."""
    match = SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size; write for example 512M, 2G or 2147483648")
    number, unit = match.groups()
    return int(float(number) * STEP ** " kmgtp".index(unit.lower() or " "))


def size(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    unit = 0
    while value >= STEP and unit < len(UNITS) - 1:
        value, unit = value / STEP, unit + 1
    return f"{value:.0f} {UNITS[unit]}" if unit == 0 else f"{value:.1f} {UNITS[unit]}"


def rate(bytes_per_second: float | None) -> str:
    return UNKNOWN if bytes_per_second is None else f"{size(bytes_per_second)}/s"


def part(value: float | None, whole: float | None) -> str:
    """`1.5/3.0 GiB`; `512.0 MiB/3.0 GiB` where the units differ."""
    shown, of = size(value), size(whole)
    return f"{shown.partition(' ')[0] if shown[-3:] == of[-3:] else shown}/{of}"


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f} %"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"


def clock(seconds: float) -> str:
    """The same, short: `0:05`, `12:05`, `1:02:05`."""
    minutes, rest = divmod(round(seconds), MINUTE)
    if minutes < MINUTE:
        return f"{minutes}:{rest:02}"
    return f"{minutes // MINUTE}:{minutes % MINUTE:02}:{rest:02}"


def between(start: str | None, end: str | None) -> str:
    """How long it took from one RFC 3339 time to another; to now when there is no end."""
    if start is None:
        return UNKNOWN
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return duration((until - datetime.fromisoformat(start)).total_seconds())
