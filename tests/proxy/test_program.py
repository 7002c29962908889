"""The agent program: one file, the same every time, for old Pythons and without anything to install."""

import ast
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from app.proxy.agent.verbs import MODULES, act_of
from app.proxy.program import PACKAGE, agent_program

SOURCES = sorted(
    (file.name, file.read_text()) for file in resources.files(PACKAGE).iterdir() if file.name.endswith(".py")
)


@pytest.mark.parametrize(("name", "text"), SOURCES, ids=[name for name, _ in SOURCES])
def test_each_file_is_python_3_7_and_imports_nothing_from_outside(name: str, text: str) -> None:
    tree = ast.parse(text, name, feature_version=(3, 7))
    imported = {
        node.module or "" if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    foreign = {
        module
        for module in imported
        if not module.startswith(PACKAGE) and module.split(".")[0] not in sys.stdlib_module_names
    }
    assert foreign == set()


def test_the_installer_is_read_by_the_oldest_python_3_that_hosts_have() -> None:
    ast.parse(agent_program().installer, feature_version=(3, 6))


def test_packing_again_gives_the_same_bytes() -> None:
    first = agent_program()
    agent_program.cache_clear()
    assert agent_program() == first


def test_the_packed_program_runs_by_itself(tmp_path: Path) -> None:
    program = tmp_path / agent_program().name
    program.write_bytes(agent_program().data)
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(program), "status"],
        input=b'{"work_dir": "/tmp", "timeout_seconds": 5, "attempt_id": "not an id"}',
        capture_output=True,
        check=True,
        cwd="/",
    )
    assert b"host_command_failed" in done.stdout


@pytest.mark.parametrize("verb", MODULES)
def test_each_verb_is_carried_out_by_somebody(verb: str) -> None:
    assert callable(act_of(verb))
