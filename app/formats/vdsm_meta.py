"""What vdsm notes on storage about a domain and its volumes: lines of `KEY=VALUE`, `EOF` at the end."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.errors import InvalidSourceError
from app.formats import numbers

FORMATS: Final = {"RAW": "raw", "COW": "qcow2"}
SECTOR_BYTES: Final = 512
LEGAL, LEAF, LAST_LINE = "LEGAL", "LEAF", "EOF"


class DomainClass(StrEnum):
    DATA = "Data"
    EXPORT = "Backup"


@dataclass(frozen=True)
class VolumeMeta:
    """A volume of an image; without a parent it is the lowest of its chain."""

    format: str
    parent_id: UUID | None
    is_legal: bool
    is_leaf: bool
    capacity_bytes: int | None


def key_values(text: str) -> dict[str, str]:
    parts = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in parts}


def read_volume_meta(text: str, what: str) -> VolumeMeta:
    """Raises InvalidSourceError; `what` is the volume, for people."""
    facts = key_values(text)
    format_name = FORMATS.get(facts.get("FORMAT", ""))
    if format_name is None or LAST_LINE not in facts:
        raise InvalidSourceError(f"The metadata of volume {what} is cut off or tells no known format.")
    try:
        parent = UUID(facts["PUUID"])
    except (KeyError, ValueError) as error:
        raise InvalidSourceError(f"The metadata of volume {what} tells no parent.") from error
    return VolumeMeta(
        format=format_name,
        parent_id=parent if parent.int else None,
        is_legal=facts.get("LEGALITY") == LEGAL,
        is_leaf=facts.get("VOLTYPE") == LEAF,
        capacity_bytes=_capacity_bytes(facts, what),
    )


def _capacity_bytes(facts: dict[str, str], what: str) -> int | None:
    """In bytes since version 5 of domains, before that in sectors."""
    if "CAP" in facts:
        return numbers.size_bytes(facts["CAP"], 1, f"The capacity of volume {what}")
    return numbers.size_bytes(facts.get("SIZE"), SECTOR_BYTES, f"The size of volume {what}")
