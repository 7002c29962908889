#!/usr/bin/env python3
"""Writes what follows from the code in the documentation: codes, settings, the OpenAPI document.

`--check` writes nothing and tells by its exit code whether the files are current.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import app  # noqa: E402  the checkout must be found first
from app.api import openapi  # noqa: E402
from app.concerns import RULES  # noqa: E402
from app.errors import AppError, problem_classes  # noqa: E402
from app.main import create_app  # noqa: E402
from app.settings import Settings  # noqa: E402

PROGRAMS = ("app.cli.__main__.", "app.proxy.agent.")
"""They do something when they are loaded, or run on hosts only."""


def main() -> int:
    stale = [name for name, written in _files() if _is_stale(ROOT / "docs" / name, written)]
    return 1 if stale and "--check" in sys.argv else 0


def _files() -> Iterator[tuple[str, Callable[[str], str]]]:
    """Each file, and how its text follows from the code and what it says now."""
    yield "problems.md", lambda before: _with_part(before, "problems", problems)
    yield "concerns.md", lambda before: _with_part(before, "concerns", concerns)
    yield "operators.md", lambda before: _with_part(before, "settings", settings)
    yield "openapi.json", lambda _: openapi.text(create_app(Settings()))


def _is_stale(path: Path, written: Callable[[str], str]) -> bool:
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    after = written(before)
    if after == before:
        return False
    print(f"docs/{path.name} is not current: run scripts/write_docs.py")
    if "--check" not in sys.argv:
        path.write_text(after, encoding="utf-8")
    return True


def _with_part(text: str, part: str, written: Callable[[], Iterator[str]]) -> str:
    return "\n".join(_replaced(text.split("\n"), part, written))


def _replaced(lines: list[str], part: str, written: Callable[[], Iterator[str]]) -> Iterator[str]:
    """The lines, with what stands between the part's two markers written anew."""
    start, end = lines.index(f"<!-- {part}: written -->"), lines.index(f"<!-- /{part} -->")
    yield from lines[: start + 1]
    yield from written()
    yield from lines[end:]


def problems() -> Iterator[str]:
    """A table of every code, by status, with what to do about it."""
    yield "| code | status | title | what to do |"
    yield "|---|---|---|---|"
    _load_all()
    for kind in sorted(problem_classes(), key=_by_status):
        yield f"| `{kind.code}` | {kind.status} | {kind.title} | {kind.hint or ''} |"


def _by_status(kind: type[AppError]) -> tuple[int, str]:
    return kind.status, kind.code


def _load_all() -> None:
    """Load every module, since an error may be defined in any."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not f"{module.name}.".startswith(PROGRAMS):
            importlib.import_module(module.name)


def concerns() -> Iterator[str]:
    """A table of every rule, the gravest first, with what to do about its findings."""
    yield "| code | severity | title | what to do |"
    yield "|---|---|---|---|"
    for rule in RULES:
        yield f"| `{rule.code}` | {rule.severity} | {rule.title} | {rule.hint} |"


def settings() -> Iterator[str]:
    """A table of every setting: its environment variable, default and meaning."""
    meanings = _docstrings()
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        yield f"| `V2V_IMPORT_{name.upper()}` | {default} | {meanings.get(name, '')} |"


def _docstrings() -> dict[str, str]:
    """The string under each field, in one line."""
    [shape] = [node for node in ast.parse(inspect.getsource(Settings)).body if isinstance(node, ast.ClassDef)]
    found = {}
    for field, after in zip(shape.body, shape.body[1:], strict=False):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                found[name] = " ".join(meaning.split())
    return found


if __name__ == "__main__":
    sys.exit(main())
