"""The command against the whole service: `up`, a real sshd, a tiny virt-v2v."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.root import app
from tests.support.sshd import SshServer, free_port
from tests.support.tiny_virt_v2v import CONVERSION, TinyVirtV2v

IMAGE_BYTES = 2**20


class Running:
    """`v2v-import up` as a process of its own, and the command that speaks to it."""

    def __init__(self, data_dir: Path) -> None:
        port = free_port()
        self._environment = {
            "V2V_IMPORT_URL": f"http://127.0.0.1:{port}",
            "V2V_IMPORT_DATA_DIR": str(data_dir),
            "V2V_IMPORT_TOKEN": None,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "up", "--data-dir", str(data_dir), "--port", str(port)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.said = self._process.stdout.readline()

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, arguments, env=self._environment, input=stdin)


@dataclass(frozen=True)
class Place:
    """A service whose only proxy host is this machine, with a tiny virt-v2v and one disk image."""

    service: Running
    virt_v2v: TinyVirtV2v
    image: Path
    store: Path


@pytest.fixture(scope="module")
def place(sshd: SshServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Each part is added by the command."""
    root = tmp_path_factory.mktemp("place")
    for name in ("bin", "sources", "store"):
        (root / name).mkdir()
    image = root / "sources" / "a disk.raw"
    image.write_bytes(b"\0" * IMAGE_BYTES)
    service = Running(root / "data")
    try:
        place = Place(service, TinyVirtV2v(root / "bin"), image, root / "store")
        with tempfile.TemporaryDirectory(prefix="work-", dir="/tmp") as work_dir:
            _enrol(place, sshd, work_dir)
            yield place
    finally:
        assert service.stop() == 0


def _enrol(place: Place, sshd: SshServer, work_dir: str) -> None:
    body = {
        "name": "here",
        "address": "127.0.0.1",
        "port": sshd.port,
        "private_key": sshd.client_key.get_secret_value(),
        "work_dir": work_dir,
        "virt_v2v_path": str(place.virt_v2v.path),
        "source_roots": [str(place.image.parent)],
    }
    for arguments in (
        ("data-centers", "add", "north"),
        ("proxy-hosts", "add", "--from", "-", "--accept-key"),
        ("storage-domains", "add", "store", "--kind", "directory", "--path", str(place.store)),
    ):
        result = place.service(*arguments, stdin=json.dumps(body))
        assert result.exit_code == 0, result.output


def test_the_command_says_where_the_service_is(place: Place) -> None:
    assert "/docs" in place.service.said


def test_an_import_is_followed_to_its_vm(place: Place) -> None:
    place.virt_v2v.plan(CONVERSION, pause_seconds=0.02)
    result = place.service("import", "disk", str(place.image), "--to", "store", "--name", "web-1")
    assert result.exit_code == 0, result.output
    assert "disk 1/1" in result.stdout
    assert f"{place.store}/" in result.stdout
    listed = json.loads(place.service("imports", "list", "--state", "succeeded", "--json").stdout)["items"]
    identity = listed[0]["id"]
    assert "Copying disk 1/1" in place.service("imports", "log", identity).stdout
    assert "succeeded" in place.service("imports", "show", identity).stdout
    assert place.service("watch", identity, "--json").exit_code == 0


def test_a_cancelled_import_ends_with_3(place: Place) -> None:
    place.virt_v2v.plan()
    place.virt_v2v.hold()
    created = place.service("import", "disk", str(place.image), "--to", "store", "--no-follow")
    assert place.service("imports", "cancel", created.stdout.strip(), "--follow").exit_code == 3
    place.virt_v2v.let_go()


def test_a_failed_import_ends_with_1_and_virt_v2vs_own_words(place: Place) -> None:
    no_os = '{"message": "inspection could not detect the source guest", "type": "error"}\n'
    place.virt_v2v.plan(["virt-v2v: opening\n"], last_lines=[no_os], exit_code=1)
    result = place.service("import", "disk", str(place.image), "--to", "store")
    assert result.exit_code == 1
    assert "inspection could not detect the source guest" in result.stderr


def test_a_check_names_what_is_missing(place: Place) -> None:
    missing = str(place.image.with_name("missing"))
    result = place.service("import", "disk", missing, "--to", "store", "--check")
    assert result.exit_code == 1
    assert "source_not_found" in result.stderr
