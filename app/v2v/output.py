"""Reads virt-v2v's output: bytes in, events out. Pure, and the same for any split of the bytes.

The log holds standard output and standard error merged: with `--machine-readable=stream:stdout` each message
comes twice, as a line of JSON and as a plain line; the bar comes from nbdcopy (2.x) or qemu-img (1.x) and
carries no disk number, so it belongs to the last `Copying disk i/n` before it.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Final

from app.models.events import Severity

LONGEST_LINE: Final = 64 * 1024
"""A line that is longer is cut into several: memory stays bounded whatever comes."""

STAGES: Final = (
    ("Setting up the source", "setting_up_source"),
    ("Opening the source", "opening_source"),
    ("Creating an overlay", "creating_overlay"),
    ("Inspecting the source", "inspecting"),
    ("Inspecting the overlay", "inspecting"),
    ("Detecting if this guest uses BIOS or UEFI", "checking_firmware"),
    ("Checking if the guest needs BIOS or UEFI", "checking_firmware"),
    ("Checking for sufficient free disk space in the guest", "checking_free_space"),
    ("Checking filesystem integrity before", "checking_filesystems_before"),
    ("Checking filesystem integrity after", "checking_filesystems_after"),
    ("Estimating space required", "estimating_space"),
    ("Converting", "converting"),
    ("Setting a random seed", "setting_random_seed"),
    ("Setting the machine ID", "setting_machine_id"),
    ("Setting the hostname", "customizing"),
    ("SELinux relabelling", "relabelling"),
    ("Mapping filesystem data", "mapping_filesystems"),
    ("Closing the overlay", "closing_overlay"),
    ("Assigning disks to buses", "assigning_buses"),
    ("Setting up the destination", "setting_up_destination"),
    ("Initializing the target", "setting_up_destination"),
    ("Copying disk", "copying"),
    ("Creating output metadata", "creating_metadata"),
    ("Finishing off", "finishing"),
)
"""The beginnings of virt-v2v's stage lines, of versions 1.x to 2.10, and our stable names for them."""
UNKNOWN_STAGE: Final = "other"

_COPYING = re.compile(r"Copying disk (\d{1,6})/(\d{1,6})")
_PLAIN_STAGE = re.compile(r"\[\s*\d+\.\d+\] (.+)")
_PLAIN_SAID = re.compile(r"virt-v2v: (warning|error): (.*)")
_BAR = re.compile(r"\S?\s*(\d{1,3})% \[[*-]*\]?\s*")
_OLD_BAR = re.compile(r"\s*\((\d{1,3}(?:\.\d+)?)/100%\)\s*")
_LINE_END = re.compile(rb"[\r\n]")


@dataclass(frozen=True)
class Stage:
    """A stage began; `name` is ours and stable, `text` is virt-v2v's."""

    name: str
    text: str


@dataclass(frozen=True)
class DiskStarted:
    """The copy of a disk began; `number` counts from 1."""

    number: int
    of: int


@dataclass(frozen=True)
class DiskPercent:
    """How much of a disk is copied, 0..100."""

    number: int
    percent: float


@dataclass(frozen=True)
class Said:
    """A message that is no stage."""

    severity: Severity
    text: str


Event = Stage | DiskStarted | DiskPercent | Said


@dataclass(frozen=True)
class Reading:
    """What the bytes held: the events, and the lines to be kept.

    `kept` is the log as a person reads it: whole lines, without bars, JSON twins and empty lines. `consumed`
    is by how many bytes the end of the last whole line moved on: from there another reader, told the disk
    that was being copied, goes on exactly.
    """

    events: tuple[Event, ...]
    kept: bytes
    consumed: int


class OutputReader:
    """Reads one log, a piece at a time. Never raises: a line that can't be understood is a log line."""

    def __init__(self, *, machine_readable: bool, disk: int | None = None, of: int | None = None) -> None:
        """`machine_readable`: messages come as JSON too. `disk`, `of`: where an earlier reader stopped."""
        self._machine_readable = machine_readable
        self.disk, self.of = disk, of
        self._rest = b""

    def feed(self, data: bytes) -> Reading:
        """The next bytes."""
        self._rest += data
        return self._read()

    def finish(self) -> Reading:
        """No more bytes come: a last line without an end counts too."""
        if not self._rest:
            return Reading((), b"", 0)
        self._rest += b"\n"
        reading = self._read()
        return replace(reading, consumed=reading.consumed - 1)

    def _read(self) -> Reading:
        events: list[Event] = []
        kept = bytearray()
        lines, consumed = self._lines()
        for line in lines:
            found, keep = self._understand(line)
            events += found
            if keep:
                kept += line + b"\n"
        return Reading(tuple(events), bytes(kept), consumed)

    def _lines(self) -> tuple[list[bytes], int]:
        """The whole lines that are there now, and how many bytes they took."""
        lines: list[bytes] = []
        start = 0
        while True:
            end = _LINE_END.search(self._rest, start, start + LONGEST_LINE)
            if end is not None:
                lines.append(self._rest[start : end.start()])
                start = end.end()
            elif len(self._rest) - start >= LONGEST_LINE:
                lines.append(self._rest[start : start + LONGEST_LINE])
                start += LONGEST_LINE
            else:
                self._rest = self._rest[start:]
                return lines, start

    def _understand(self, line: bytes) -> tuple[list[Event], bool]:
        """The line's events, and whether it is kept in the log."""
        text = line.decode("utf-8", errors="replace")
        if not text.strip():
            return [], False
        if (percent := _percent(text)) is not None:
            return self._percents(percent), False
        if not self._machine_readable:
            return self._plain(text), True
        message = _json_message(text)
        return ([], True) if message is None else (self._message(*message), False)

    def _percents(self, percent: float) -> list[Event]:
        return [] if self.disk is None else [DiskPercent(self.disk, percent)]

    def _plain(self, text: str) -> list[Event]:
        if (stage := _PLAIN_STAGE.fullmatch(text)) is not None:
            return self._stage(stage.group(1))
        if (said := _PLAIN_SAID.fullmatch(text)) is not None:
            return [Said(Severity(said.group(1)), said.group(2))]
        return []

    def _message(self, kind: str, text: str) -> list[Event]:
        if kind == "message":
            return self._stage(text)
        return [Said(Severity(kind), text)]

    def _stage(self, text: str) -> list[Event]:
        stage = Stage(_stage_name(text), text)
        copying = _COPYING.match(text)
        if copying is None:
            return [stage]
        self.disk, self.of = int(copying.group(1)), int(copying.group(2))
        return [stage, DiskStarted(self.disk, self.of)]


def _percent(text: str) -> float | None:
    found = _BAR.fullmatch(text) or _OLD_BAR.fullmatch(text)
    return None if found is None else min(float(found.group(1)), 100.0)


def _json_message(text: str) -> tuple[str, str] | None:
    """(type, message) of a machine-readable line; None for any other line."""
    if not text.startswith("{"):
        return None
    try:
        message: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    kind, said = message.get("type"), message.get("message")
    known = kind in {"message", *Severity}
    return (str(kind), said) if known and isinstance(said, str) else None


def _stage_name(text: str) -> str:
    return next((name for beginning, name in STAGES if text.startswith(beginning)), UNKNOWN_STAGE)
