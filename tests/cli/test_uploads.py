"""`upload` and `uploads`: a file comes in pieces, is taken up where it stopped, listed and deleted."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_stand_in import CENTER_ID, HOST_ID, VM_ID, Answer, Asked, StandIn, page, problem, run

UPLOADS = "/v1/uploads"
PATH = f"{UPLOADS}/{VM_ID}"


class Receiver:
    """The upload as the service has it; `breaks` of the next pieces get lost after their first byte."""

    def __init__(self, stand_in: StandIn, breaks: int = 0) -> None:
        self.data, self.length, self.breaks = b"", 0, breaks
        stand_in.on("POST", UPLOADS, self.create)
        stand_in.on("HEAD", PATH, self.tell)
        stand_in.on("PATCH", PATH, self.take)

    def create(self, asked: Asked) -> Answer:
        self.length = int(asked.headers["upload-length"])
        return Answer(201, b"{}", headers={"Location": PATH})

    def tell(self, _: Asked) -> Answer:
        return Answer(headers={"Upload-Offset": str(len(self.data)), "Upload-Length": str(self.length)})

    def take(self, asked: Asked) -> Answer:
        assert int(asked.headers["upload-offset"]) == len(self.data)
        assert asked.headers["upload-checksum"].startswith("sha256 ")
        if self.breaks:
            self.breaks -= 1
            self.data += asked.body[:1]
            return problem(503, "host_connection_lost", "The connection was lost")
        self.data += asked.body
        return Answer(204, headers={"Upload-Offset": str(len(self.data))})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "web 1.ova"
    path.write_bytes(b"0123456789")
    return path


def test_a_file_is_sent_in_pieces_and_its_id_told(stand_in: StandIn, file: Path) -> None:
    received = Receiver(stand_in)
    result = run(stand_in, "upload", str(file), "--proxy-host", HOST_ID, "--piece", "4")
    assert (result.exit_code, result.stdout.strip()) == (0, VM_ID)
    assert received.data == file.read_bytes()
    [created] = stand_in.headers(UPLOADS, "Upload-Metadata")
    told = dict(pair.split(" ") for pair in (created or "").split(","))
    assert {key: b64decode(value).decode() for key, value in told.items()} == {
        "filename": "web 1.ova",
        "proxy_host_id": HOST_ID,
    }


def test_what_got_lost_is_asked_for_and_sent_again(stand_in: StandIn, file: Path) -> None:
    received = Receiver(stand_in, breaks=1)
    received.length = 10
    result = run(stand_in, "upload", str(file), "--resume", VM_ID, "--piece", "4")
    assert (result.exit_code, received.data) == (0, b"0123456789")


def test_it_gives_up_when_nothing_arrives_and_says_how_to_go_on(stand_in: StandIn, file: Path) -> None:
    Receiver(stand_in).length = 10
    stand_in.on("PATCH", PATH, problem(423, "upload_locked", "Somebody else sends"))
    result = run(stand_in, "upload", str(file), "--resume", VM_ID, "--tries", "2")
    assert result.exit_code == 1
    assert f"--resume {VM_ID}" in result.stderr


def test_an_upload_of_another_file_is_not_gone_on_with(stand_in: StandIn, file: Path) -> None:
    Receiver(stand_in).length = 11
    assert "another_file" in run(stand_in, "upload", str(file), "--resume", VM_ID).stderr


@pytest.mark.parametrize("options", [[], ["--proxy-host", HOST_ID, "--data-center", CENTER_ID]])
def test_one_place_must_be_said(stand_in: StandIn, file: Path, options: list[str]) -> None:
    assert run(stand_in, "upload", str(file), *options).exit_code == 2


def test_uploads_are_listed_and_deleted(stand_in: StandIn) -> None:
    shown: dict[str, Any] = {
        "id": VM_ID,
        "file_name": "web\x1b.ova",
        "length_bytes": 2**30,
        "offset_bytes": 2**29,
        "state": "receiving",
        "proxy_host_id": HOST_ID,
        "expires_at": "2026-01-02T03:04:05.000Z",
    }
    stand_in.on("GET", UPLOADS, page(shown))
    result = run(stand_in, "uploads", "list")
    assert VM_ID in result.stdout
    assert "\x1b" not in result.stdout
    stand_in.on("DELETE", PATH, Answer(204))
    assert run(stand_in, "uploads", "delete", VM_ID).stdout.strip() == f"{VM_ID}: deleted"
