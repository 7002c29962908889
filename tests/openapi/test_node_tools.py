"""The OpenAPI document with the tools that front-end teams use: Redocly, openapi-typescript, TypeScript."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "docs" / "openapi.json"
TOOLS = HERE / "node_modules" / ".bin"
TUS_CLIENT = HERE / "node_modules" / "tus-js-client"
QUIET = {**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(TOOLS / tool), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=HERE, env=QUIET, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(autouse=True, scope="module")
def tools() -> None:
    """`scripts/setup` installs them; a test that runs without it installs them itself."""
    if not (TOOLS.exists() and TUS_CLIENT.exists()):
        subprocess.run(["npm", "ci", "--silent"], cwd=HERE, check=True, timeout=110)


def test_redocly_finds_nothing_wrong() -> None:
    done = run("redocly", "lint", "--config", HERE / "redocly.yaml", "--format=github-actions", DOCUMENT)
    assert "::error" not in done.stdout
    assert "::warning" not in done.stdout


@pytest.mark.parametrize("options", [["--default-non-nullable=false"], []], ids=["documented", "plain"])
def test_generated_types_compile_under_strict(tmp_path: Path, options: list[str]) -> None:
    run("openapi-typescript", DOCUMENT, "-o", tmp_path / "generated.ts", *options)
    files = [tmp_path / "generated.ts"]
    if options:
        files.append(Path(shutil.copy(HERE / "client.ts", tmp_path)))
    run("tsc", "--noEmit", "--strict", "--noUncheckedIndexedAccess", *files)
