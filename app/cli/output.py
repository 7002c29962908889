"""What the command prints: text for people, or JSON documents for scripts."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from app.cli.text import columns, facts, safe

Json = dict[str, Any]


class Output:
    """Results on standard output, remarks and problems on standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(markup=False, highlight=False, emoji=False)

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks on and can be asked."""
        return self.console.is_terminal and sys.stdin.isatty() and not self.as_json

    def document(self, document: Json | list[Json]) -> None:
        """The answer of a command that was asked for JSON."""
        self.line(json.dumps(document, indent=2, ensure_ascii=False))

    def json_line(self, document: Json) -> None:
        """One of many documents, each on a line of its own and written at once."""
        self.line(json.dumps(document, ensure_ascii=False, separators=(",", ":")))

    def line(self, text: str = "") -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def write(self, text: str) -> None:
        """Text as it is, without an end of line of ours."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def lines(self, lines: Sequence[str]) -> None:
        for text in lines:
            self.line(text)

    def safe_lines(self, lines: Sequence[str]) -> None:
        """Lines with text from outside in them."""
        self.lines([safe(text) for text in lines])

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[object]], *, none: str) -> None:
        """Rows under their headers, or the sentence for no rows."""
        self.lines(columns(headers, rows) if rows else [none])

    def facts(self, pairs: Sequence[tuple[str, object]]) -> None:
        self.lines(facts(pairs))

    def note(self, text: str) -> None:
        """A remark beside the result."""
        sys.stderr.write(safe(text, kept=frozenset("\n")) + "\n")
        sys.stderr.flush()

    def problem(self, problem: Json) -> None:
        """A problem document (RFC 9457) on standard error."""
        if self.as_json:
            sys.stderr.write(json.dumps(problem, indent=2, ensure_ascii=False) + "\n")
        else:
            self.note("\n".join(problem_lines(problem)))


def problem_lines(problem: Json) -> list[str]:
    """Title, detail, field errors and hint, as people read them."""
    title, detail = problem.get("title", "The request failed"), problem.get("detail")
    lines = [f"Error: {title} ({problem.get('code', 'unknown')})"]
    if detail and detail != title:
        lines += [f"  {line}" for line in str(detail).splitlines() if line.strip()]
    faults = [
        f"{error.get('pointer') or '/'}: {error.get('detail')}" for error in problem.get("errors") or ()
    ]
    lines += [f"  {fault}" for fault in faults if fault not in str(detail)]
    if problem.get("hint"):
        lines.append(f"  Hint: {problem['hint']}")
    return lines
