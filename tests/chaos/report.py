"""What a chaos run found, as numbers, sentences and a table."""

from dataclasses import dataclass, field
from typing import Any, Self

COLUMNS = ("lost", "doubled", "left behind", "over limit", "events", "secrets", "answers")


@dataclass
class Row:
    """One kind of fault."""

    rounds: int = 0
    recovery_seconds: float = 0.0
    """The longest time from the moment when all was whole again until progress flowed."""


@dataclass
class Report:
    """`bad` are sentences by column."""

    rows: dict[str, Row] = field(default_factory=dict)
    bad: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    imports: int = 0
    real_imports: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    events: int = 0
    reconnects: int = 0
    limits: int = 0
    limits_reached: int = 0
    seconds: float = 0.0

    def note(self, fault: str, recovery_seconds: float) -> None:
        row = self.rows.setdefault(fault, Row())
        row.rounds += 1
        row.recovery_seconds = max(row.recovery_seconds, recovery_seconds)

    def blame(self, column: str, sentences: list[str]) -> None:
        new = [text for text in sentences if text not in self.bad[column]]
        self.bad[column] += new

    @property
    def rounds(self) -> int:
        return sum(row.rounds for row in self.rows.values())

    @property
    def is_good(self) -> bool:
        return not any(self.bad.values())

    def sentences(self) -> list[str]:
        """What is wrong, each with its column."""
        return [f"{column}: {text}" for column, texts in self.bad.items() for text in texts]

    def add(self, other: Self) -> None:
        """Take in what another world found."""
        for name, row in other.rows.items():
            mine = self.rows.setdefault(name, Row())
            mine.rounds += row.rounds
            mine.recovery_seconds = max(mine.recovery_seconds, row.recovery_seconds)
        for column, sentences in other.bad.items():
            self.bad[column] += sentences
        for state, count in other.ended.items():
            self.ended[state] = self.ended.get(state, 0) + count
        self.imports += other.imports
        self.real_imports += other.real_imports
        self.attempts += other.attempts
        self.events += other.events
        self.reconnects += other.reconnects
        self.limits += other.limits
        self.limits_reached += other.limits_reached
        self.seconds = max(self.seconds, other.seconds)

    def table(self) -> str:
        width = max(len(name) for name in (*self.rows, "fault"))
        lines = [f"{'fault':{width}}  rounds  longest recovery"]
        for name, row in sorted(self.rows.items()):
            lines.append(f"{name:{width}}  {row.rounds:6}  {row.recovery_seconds:14.1f} s")
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.ended.items()))
        longest = max((row.recovery_seconds for row in self.rows.values()), default=0.0)
        return "\n".join(
            [
                *lines,
                "",
                f"faults injected   {self.rounds} in {self.seconds / 60:.1f} min",
                f"imports run       {self.imports} ({states}), {self.real_imports} by the real virt-v2v",
                f"attempts          {self.attempts}",
                f"events told       {self.events} to clients that reconnected {self.reconnects} times",
                f"limits            {self.limits}, {self.limits_reached} of them reached",
                f"longest recovery  {longest:.1f} s",
                *(f"{column:16}  {len(self.bad[column])}" for column in COLUMNS),
            ]
        )

    def verdict(self) -> str:
        """The last line."""
        counts = ", ".join(f"{len(self.bad[column])} {column}" for column in COLUMNS)
        return f"{'ok' if self.is_good else 'failed'}: {self.rounds} faults, {self.imports} imports, {counts}"

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**{**data, "rows": {name: Row(**row) for name, row in data["rows"].items()}})
