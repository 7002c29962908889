"""A job trusts the certificates that it was given, and no others; the host's own stay as they are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from app.proxy.agent_client import HostAgent, JobState
from tests.support.hosts import ended
from tests.support.vcenter import certificate_for

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
SHOW = f"cat {BUNDLE}; ls /etc/ssl/certs | wc -l"
PROGRAM = "import sys; from app.proxy.agent.preparing import prepare; prepare(sys.argv[1], sys.argv[2:])"


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    return certificate_for(tmp_path).pem


async def test_a_job_finds_its_certificates_where_its_system_keeps_them(
    local_agent: HostAgent, certificate: str
) -> None:
    attempt_id = uuid4()
    directory = Path((await local_agent.create_attempt(attempt_id, 1)).directory)
    await local_agent.write(attempt_id, 1, "trusted.pem", certificate.encode())
    await local_agent.launch(
        attempt_id,
        1,
        ["sh", "-c", SHOW],
        environment={},
        secret_files=[],
        preparation={"trust": "trusted.pem", "roots": []},
    )
    status = await ended(local_agent, attempt_id)

    log = (directory / "job" / "log").read_text()
    assert (status.state, status.exit_code) == (JobState.EXITED, 0), log
    assert log.startswith(certificate)
    assert log.removeprefix(certificate).split() == ["4"]
    await local_agent.remove_attempt(attempt_id, 2)


def prepared(directory: Path, certificate: str, *as_whom: str) -> "subprocess.CompletedProcess[str]":
    (directory / "job").mkdir()
    (directory / "trusted.pem").write_text(certificate)
    (directory / "job" / "order").write_text(json.dumps({"trust": "trusted.pem"}))
    return subprocess.run(  # noqa: PLW1510  # its status is looked at
        [*as_whom, sys.executable, "-c", PROGRAM, str(directory / "job" / "order"), "/bin/cat", str(BUNDLE)],
        env={"PYTHONPATH": os.environ.get("PYTHONPATH", str(Path.cwd())), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_hosts_own_certificates_stay_as_they_are(tmp_path: Path, certificate: str) -> None:
    before = BUNDLE.read_bytes()

    assert prepared(tmp_path, certificate).stdout == certificate
    assert BUNDLE.read_bytes() == before


def test_where_no_mounts_can_be_made_virt_v2v_is_not_started(tmp_path: Path, certificate: str) -> None:
    done = prepared(tmp_path, certificate, "setpriv", "--bounding-set", "-sys_admin")

    assert done.returncode == 1
    assert "the provider's certificates can't be trusted alone" in done.stdout
    assert "Operation not permitted" in done.stdout
