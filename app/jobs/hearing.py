"""One followed attempt: what virt-v2v's log says, what of it is saved, what clients are to be told."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import SecretStr

from app.jobs import facts
from app.jobs.facts import Exceeded
from app.jobs.stillness import Stillness
from app.models.attempts import Attempt
from app.models.columns import now
from app.models.events import MessageEvent, ProgressEvent, Severity
from app.models.imports import ConversionWarning, VmImport
from app.models.progress import DiskCopyState, DiskProgress
from app.services.following import Heard, ProgressSave, StillnessSave
from app.v2v.output import Event, OutputReader, Reading, Said, Stage
from app.v2v.progress import ProgressTracker

SEQ_GAP = 100_000
"""A new watcher counts on from beyond anything that the one before can have published unsaved."""
LONGEST_TEXT = 4000
WARNING_CODE = "virt_v2v_warning"
STALLED_CODE = "stalled"
MASK = b"***"


@dataclass
class Pending:
    """What was read and is not saved yet."""

    start: int
    end: int
    kept: bytearray = field(default_factory=bytearray)
    stage: str | None = None
    said: list[Said] = field(default_factory=list)

    def is_empty(self) -> bool:
        return not (self.kept or self.stage or self.said)

    def heard(self) -> Heard:
        errors = [said.text for said in self.said if said.severity is Severity.ERROR]
        warnings = [said.text for said in self.said if said.severity is Severity.WARNING]
        return Heard(
            start=self.start,
            end=self.end,
            kept=bytes(self.kept),
            stage=self.stage,
            warnings=tuple(ConversionWarning(code=WARNING_CODE, message=text) for text in warnings),
            errors=tuple(errors),
        )


@dataclass(frozen=True)
class Limits:
    """How long virt-v2v may stand still until it is told, until it fails; and how long it may run."""

    stall_after_seconds: float
    stall_limit_seconds: float | None = None
    time_limit_seconds: float | None = None


class Hearing:
    """Reads one attempt's log as it comes. `at_seconds` is always the watcher's monotonic clock."""

    def __init__(
        self,
        row: VmImport,
        attempt: Attempt,
        secrets: Iterable[SecretStr],
        at_seconds: float,
        limits: Limits,
    ) -> None:
        self.import_id, self.attempt_id, self.number = row.id, attempt.id, attempt.number
        self.labels = row.labels
        self.received = attempt.log_bytes
        """The bytes of the log that came in so far; `pending.end` lags behind by an unfinished line."""
        self.pending = Pending(attempt.log_bytes, attempt.log_bytes)
        self.has_ended = False
        self.is_published = self._is_saved = True
        self.stalled_since: datetime | None = row.progress.stalled_since
        self._seq = row.progress_seq + SEQ_GAP
        self._masks = _masks(secrets)
        self._reader = _reader(row.disk_progress, attempt)
        self._tracker = ProgressTracker(row.disk_progress, row.progress)
        self._limits = limits
        self._is_beyond = False
        # The clock that was current at the start is asked once: it may jump while this watcher watches.
        self._launched_at = at_seconds - facts.launched_seconds(attempt)
        self._stillness = Stillness(
            at_seconds, still_seconds=attempt.still_seconds, io_bytes=attempt.io_bytes
        )
        self._saved_still_seconds = attempt.still_seconds

    # --- what comes in ---

    def read(self, offset: int, data: bytes, at_seconds: float) -> None:
        """Bytes of the log from an offset; what came in before is passed over."""
        fresh = data[self.received - offset :] if offset < self.received else data
        if not fresh:
            return
        self.received += len(fresh)
        self._stillness.moved(at_seconds)
        self._goes_on()
        self._take(self._reader.feed(fresh), at_seconds)

    def end(self, at_seconds: float) -> None:
        """The log is complete."""
        self._take(self._reader.finish(), at_seconds)
        self.pending.end, self.has_ended = self.received, True

    def is_active(self, io_bytes: int, at_seconds: float) -> None:
        """The process group has read and written so much in all."""
        if self._stillness.saw(io_bytes, at_seconds):
            self._goes_on()

    def reconnected(self, at_seconds: float) -> None:
        """Nothing could be seen for a while, so that nothing is known of a stall."""
        self._stillness.pass_over(at_seconds)

    def has_stalled(self) -> bool:
        """True once, when neither output nor I/O was seen for so long that it is to be told."""
        if self.stalled_since is not None or self._stillness.seconds < self._limits.stall_after_seconds:
            return False
        self.stalled_since = now()
        self._changed()
        return True

    def goes_beyond(self, at_seconds: float) -> Exceeded | None:
        """The limit that virt-v2v goes beyond, once."""
        found = None if self._is_beyond else self._exceeded(at_seconds)
        self._is_beyond = self._is_beyond or found is not None
        return found

    def _exceeded(self, at_seconds: float) -> Exceeded | None:
        still, stall_limit = self._stillness.seconds, self._limits.stall_limit_seconds
        if stall_limit is not None and still >= stall_limit:
            detail = (
                f"virt-v2v wrote nothing and moved no data for {still:.0f} s; {stall_limit:g} s is the limit."
            )
            return Exceeded("stalled", detail)
        limit = self._limits.time_limit_seconds
        if limit is not None and at_seconds - self._launched_at >= limit:
            return Exceeded(
                "time_limit_exceeded", f"virt-v2v ran for longer than {limit:g} s, its time limit."
            )
        return None

    def _goes_on(self) -> None:
        if self.stalled_since is not None:
            self.stalled_since = None
            self._changed()

    def _take(self, reading: Reading, at_seconds: float) -> None:
        self.pending.kept += self._masked(reading.kept)
        self.pending.end += reading.consumed
        for event in reading.events:
            self._hear(event, at_seconds)

    def _hear(self, event: Event, at_seconds: float) -> None:
        if isinstance(event, Said):
            text = self._masked(event.text.encode()).decode(errors="replace")[:LONGEST_TEXT]
            self.pending.said.append(Said(event.severity, text))
            return
        if isinstance(event, Stage):
            self.pending.stage = event.name
        if self._tracker.apply(event, at_seconds):
            self._changed()

    def _changed(self) -> None:
        self.is_published = self._is_saved = False

    def _masked(self, data: bytes) -> bytes:
        for secret in self._masks:
            data = data.replace(secret, MASK)
        return data

    # --- what goes out ---

    def cut(self) -> Pending:
        """What is to be saved now; what comes in from now on is kept apart from it."""
        cut = self.pending
        self.pending = Pending(cut.end, cut.end)
        return cut

    def progress_event(self) -> ProgressEvent:
        """The newest progress, to be published: newer than all before."""
        self._seq += 1
        self.is_published = True
        progress = self._tracker.progress.model_copy(update={"stalled_since": self.stalled_since})
        return ProgressEvent(
            import_id=self.import_id,
            attempt=self.number,
            seq=self._seq,
            at=now(),
            progress=progress,
            disk_progress=self._tracker.disk_progress,
        )

    def wants_saving(self) -> bool:
        """Whether progress may be saved by itself: never ahead of a line that begins the next disk.

        A watcher that goes on from what is saved takes the bars that follow for those of the last disk.
        """
        return not self._is_saved and self.pending.is_empty()

    def progress_save(self) -> ProgressSave:
        self._seq += 1
        self._is_saved = True
        progress = self._tracker.progress.model_copy(update={"stalled_since": self.stalled_since})
        return ProgressSave(self.import_id, self.number, self._seq, progress, self._tracker.disk_progress)

    def stillness_save(self) -> StillnessSave | None:
        """For how long it has stood still, if another watcher would have to know."""
        seconds = self._stillness.seconds
        if seconds == self._saved_still_seconds:
            return None
        self._saved_still_seconds = seconds
        return StillnessSave(self.attempt_id, seconds, self._stillness.io_bytes)

    def messages(self, saved: Pending) -> list[tuple[int, MessageEvent]]:
        """What virt-v2v said, each with a mark that never falls: two a byte of the log, one is ours."""
        return [
            (2 * (saved.start + number), self._message(said.severity, _code(said), said.text))
            for number, said in enumerate(saved.said, start=1)
        ]

    def stalled_message(self, text: str) -> tuple[int, MessageEvent]:
        return 2 * self.pending.end + 1, self._message(Severity.WARNING, STALLED_CODE, text)

    def _message(self, severity: Severity, code: str | None, text: str) -> MessageEvent:
        return MessageEvent(
            import_id=self.import_id,
            attempt=self.number,
            at=now(),
            severity=severity,
            code=code,
            text=text,
        )


def _code(said: Said) -> str | None:
    return WARNING_CODE if said.severity is Severity.WARNING else None


def _reader(disks: tuple[DiskProgress, ...], attempt: Attempt) -> OutputReader:
    begun = [disk.number for disk in disks if disk.state is not DiskCopyState.PENDING]
    return OutputReader(
        machine_readable=facts.is_machine_readable(attempt),
        disk=max(begun, default=None),
        of=len(disks) if begun else None,
    )


def _masks(secrets: Iterable[SecretStr]) -> tuple[bytes, ...]:
    """Each line of each secret, plain and as JSON writes it; the longest first."""
    lines = [line for secret in secrets for line in secret.get_secret_value().splitlines() if line.strip()]
    forms = {form.encode() for line in lines for form in (line, json.dumps(line)[1:-1])}
    return tuple(sorted(forms, key=len, reverse=True))
