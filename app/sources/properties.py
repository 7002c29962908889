"""What an import's properties ask of its source."""

from collections.abc import Sequence

from app.models.imports import FIRST_ROOT, ImportProperties
from app.models.vm import SourceDisk


def excluded(properties: ImportProperties) -> frozenset[str]:
    """The ids of the disks that are not to be imported."""
    return frozenset(disk.source_disk_id for disk in properties.disks if not disk.include)


def included(disks: Sequence[SourceDisk], properties: ImportProperties) -> tuple[SourceDisk, ...]:
    """The disks that are to be imported, in the order of the VM."""
    without = excluded(properties)
    return tuple(disk for disk in disks if disk.id not in without)


def for_conversion_alone(properties: ImportProperties) -> list[tuple[str, str]]:
    """(JSON pointer, sentence) of what is asked of a conversion where the disks are only copied."""
    conversion = properties.conversion
    if not conversion.is_copy:
        return []
    asked = {
        "root": conversion.root != FIRST_ROOT,
        "luks_keys": bool(conversion.luks_keys),
        "debug": conversion.debug,
    }
    return [
        (
            f"/conversion/{name}",
            f"`{name}` is for conversions; with `mode: copy` nothing looks into the disks.",
        )
        for name, is_asked in asked.items()
        if is_asked
    ]


def left_out(properties: ImportProperties, sentence: str) -> list[tuple[str, str]]:
    """The faults of a request to leave disks out, for a source that can't."""
    return [
        (f"/disks/{number}/include", sentence)
        for number, disk in enumerate(properties.disks)
        if not disk.include
    ]
