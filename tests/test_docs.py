"""The documentation says what the code does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.root import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_what_is_written_from_the_code_is_current() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "write_docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_is_explained() -> None:
    rows = [line for line in text(ROOT / "docs" / "operators.md").splitlines() if line.startswith("| `V2V_")]
    assert len(rows) > 20
    assert [row for row in rows if row.endswith("|  |")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", text(page)):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    for name in re.findall(r"`((?:app|scripts|docs|tests|requirements)/[\w./-]+)`", text(page)):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_exists_with_its_options(page: Path) -> None:
    for words in _commands(text(page)):
        options = [word.split("=")[0] for word in words if word.startswith("--")]
        result = CliRunner().invoke(app, [*_names(words), "--help"], env={"COLUMNS": "200"})
        assert result.exit_code == 0, (words, result.output)
        assert [option for option in options if option not in result.output] == [], words


def _commands(markdown: str) -> list[list[str]]:
    """The words of each `v2v-import …` in code, comments left out."""
    code = re.findall(r"```sh\n(.*?)```", markdown, re.DOTALL) + re.findall(r"`(v2v-import [^`]*)`", markdown)
    found = [
        match for part in code for match in re.findall(r"(?:^|/bin/)v2v-import ([^#\n]*)", part, re.MULTILINE)
    ]
    return [line.split() for line in found]


def _names(words: list[str]) -> list[str]:
    """The command and, for a group, its subcommand."""
    groups = {"imports", "proxy-hosts", "providers", "storage-domains", "data-centers", "orphans", "scans"}
    groups |= {"token"}
    return words[: 2 if words[0] in groups else 1]
