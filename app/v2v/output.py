"""Reads virt-v2v's output: bytes in, events out. Pure, and the same for any split of the bytes.

The log holds standard output and standard error merged: with `--machine-readable=stream:stdout` each message
comes twice, as a line of JSON and as plain lines; the bar comes from nbdcopy (2.x) or qemu-img (1.x) and
carries no disk number, so it belongs to the last `Copying disk i/n` before it.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from app.models.events import Severity
from app.v2v.stages import stage_name
from app.v2v.text import plain

LONGEST_LINE: Final = 64 * 1024
"""A line that is longer is cut into several: memory stays bounded whatever comes."""

_COPYING = re.compile(r"Copying disk (\d{1,6})/(\d{1,6})")
_PLAIN_STAGE = re.compile(r"\[\s*\d+\.\d+\] (.+)")
_PLAIN_SAID = re.compile(r"virt-v2v: (?:(warning|error): )?(.*)")
_PLAIN_ERROR = re.compile(rb"virt-v2v: error: ")
_REPORTING = "If reporting bugs"
"""What virt-v2v adds to each error."""
_BAR = re.compile(r"\S?\s*(\d{1,3})% \[[*-]*\]?\s*")
_OLD_BAR = re.compile(r"\s*\((\d{1,3}(?:\.\d+)?)/100%\)\s*")
_LINE_END = re.compile(rb"[\r\n]")
_NEVER_JSON = re.compile(
    r"virt-v2v: (?:unrecognized|invalid|ambiguous) option .*"
    r"|virt-v2v: option '.*' (?:requires|doesn't allow) .*"
    r"|virt-v2v: error: .* could not be started: .*"
    r"|virt-v2v: Exiting on signal .*"
    r"|Fatal error: exception .*"
    r"|(?:nbdcopy|nbdkit|qemu-img|qemu-nbd|libguestfs|supermin): (?!.*(?:debug:|trace:|disconnect client))"
    r".*\b(?:error|failed|cannot|could not|denied|refused)\b.*",
    re.IGNORECASE,
)
"""Errors that come only as plain lines: of the option parser, of the programs that virt-v2v starts, and of
the one who couldn't start virt-v2v. `nbdcopy command failed, see earlier error messages` means these.
That a client left is no cause but what follows from one, dozens of times.
"""


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

    `kept` is virt-v2v's log as a person would have seen it: its plain lines, without the bars, the JSON twins
    and empty lines. `consumed` is how many bytes were understood for good: from there another reader, told
    the disk that was being copied, goes on exactly.
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
        return self._read(is_end=False)

    def finish(self) -> Reading:
        """No more bytes come: a last line without an end counts too."""
        return self._read(is_end=True)

    def _read(self, *, is_end: bool) -> Reading:
        events: list[Event] = []
        kept: list[bytes] = []
        consumed = 0
        while (record := self._record(consumed, is_end=is_end)) is not None:
            lines, consumed = record
            found, is_kept = self._understand(lines)
            events += found
            kept += [line + b"\n" for line in lines if is_kept and line.strip()]
        self._rest = self._rest[consumed:]
        return Reading(tuple(events), b"".join(kept), consumed)

    def _record(self, start: int, *, is_end: bool) -> tuple[list[bytes], int] | None:
        """The lines that belong together, and where they end; None while they aren't all there.

        Only a plain error has more than one: its last line is known by what follows it.
        """
        first = self._line(start, is_end=is_end)
        if first is None:
            return None
        lines, end = [first[0]], first[1]
        if self._machine_readable or not _PLAIN_ERROR.match(lines[0]):
            return lines, end
        while end - start < LONGEST_LINE:
            following = self._line(end, is_end=is_end)
            if following is None:
                return (lines, end) if is_end else None
            if _begins_anew(_text(following[0])):
                break
            lines.append(following[0])
            end = following[1]
        return lines, end

    def _line(self, start: int, *, is_end: bool) -> tuple[bytes, int] | None:
        """The line that begins at `start`, and where the next one does; None while it isn't whole."""
        found = _LINE_END.search(self._rest, start, start + LONGEST_LINE)
        if found is not None:
            return self._rest[start : found.start()], found.end()
        left = len(self._rest) - start
        if left >= LONGEST_LINE or (is_end and left):
            end = start + min(left, LONGEST_LINE)
            return self._rest[start:end], end
        return None

    def _understand(self, lines: list[bytes]) -> tuple[list[Event], bool]:
        """The events, and whether the lines are kept in the log."""
        text = _text(lines[0])
        if not text.strip():
            return [], False
        if (percent := _percent(text)) is not None:
            return self._percents(percent), False
        if not self._machine_readable:
            return self._plain(text, lines[1:]), True
        message = _json_message(text)
        return (_never_json(text), True) if message is None else (self._message(*message), False)

    def _percents(self, percent: float) -> list[Event]:
        return [] if self.disk is None else [DiskPercent(self.disk, percent)]

    def _plain(self, text: str, more: list[bytes]) -> list[Event]:
        if (stage := _PLAIN_STAGE.fullmatch(text)) is not None:
            return self._stage(stage.group(1))
        said = _PLAIN_SAID.fullmatch(text)
        if said is not None and said.group(1):
            return [_said(Severity(said.group(1)), "\n".join([said.group(2), *map(_text, more)]))]
        if error := _never_json(text):
            return error
        return [] if said is None else [_said(Severity.INFO, said.group(2))]

    def _message(self, kind: str, text: str) -> list[Event]:
        return self._stage(text) if kind == "message" else [_said(Severity(kind), text)]

    def _stage(self, text: str) -> list[Event]:
        stage = Stage(stage_name(text), plain(text).strip())
        copying = _COPYING.match(text)
        if copying is None:
            return [stage]
        number, of = int(copying.group(1)), int(copying.group(2))
        if not 1 <= number <= of:
            return [stage]
        self.disk, self.of = number, of
        return [stage, DiskStarted(number, of)]


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


def _said(severity: Severity, text: str) -> Said:
    return Said(severity, plain(text).strip())


def _never_json(text: str) -> list[Event]:
    found = _NEVER_JSON.fullmatch(text)
    return [] if found is None else [_said(Severity.ERROR, text.removeprefix("virt-v2v: error: "))]


def _begins_anew(text: str) -> bool:
    """Whether the line is none of those that an error's first line is followed by."""
    is_message = _PLAIN_STAGE.fullmatch(text) or _PLAIN_SAID.fullmatch(text)
    return bool(is_message) or text.startswith(_REPORTING) or _percent(text) is not None


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
    if not isinstance(kind, str) or not isinstance(said, str):
        return None
    return (kind, said) if kind in {"message", *Severity} else None
