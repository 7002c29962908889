"""`imports`: list, show, cancel, retry and the log."""

import json

from tests.support.api_stand_in import (
    HOST_ID,
    IMPORT_ID,
    Answer,
    Asked,
    StandIn,
    a_disk,
    an_import,
    answer,
    page,
    problem,
    progress,
    run,
    snapshot,
    stream,
)

IMPORTS = "/v1/imports"
PATH = f"{IMPORTS}/{IMPORT_ID}"


def test_a_list_shows_whole_ids_and_how_far_they_are(stand_in: StandIn) -> None:
    stand_in.on("GET", IMPORTS, page(an_import(progress=progress(41.6, 1.0, 90))))
    header, row = run(stand_in, "imports", "list", "--state", "running", "--label", "a:b").stdout.splitlines()
    assert header.split() == ["ID", "NAME", "STATE", "STEP", "DONE", "LEFT", "CREATED"]
    shown = [IMPORT_ID, "web-1", "running", "convert_disks", "42", "%", "1", "min", "30", "s"]
    assert row.split()[:-1] == shown
    assert stand_in.asked[0].query == {"state": ["running"], "label": ["a:b"], "limit": ["50"]}


def test_an_empty_list_says_so(stand_in: StandIn) -> None:
    stand_in.on("GET", IMPORTS, page())
    assert run(stand_in, "imports", "list").stdout == "There are no such imports.\n"


def test_show_tells_all_that_is_known(stand_in: StandIn) -> None:
    attempt = {"number": 1, "outcome": "failed", "started_at": None, "finished_at": None}
    told = an_import(
        "failed",
        attempts=[attempt],
        disk_progress=[a_disk(1, 50, "copying")],
        warnings=[{"code": "stalled", "message": "No\x1b sign of life"}],
        problem={"title": "virt-v2v failed", "code": "conversion_failed", "detail": "Read the log."},
        labels={"team": "web"},
    )
    stand_in.on("GET", PATH, answer(told))
    shown = run(stand_in, "imports", "show", IMPORT_ID).stdout
    for part in (
        "source:         ova /srv/web.ova",
        "labels:         team=web",
        "disk 1: sda  1.0 GiB  copying  50 %",
        "attempt 1: failed, -",
        "warning: No\ufffd sign of life (stalled)",
        "Error: virt-v2v failed (conversion_failed)",
    ):
        assert part in shown


def test_show_as_json_is_the_services_answer(stand_in: StandIn) -> None:
    stand_in.on("GET", PATH, answer(an_import()))
    assert json.loads(run(stand_in, "imports", "show", IMPORT_ID, "--json").stdout) == an_import()


def test_cancel_asks_for_it_and_says_where_it_stands(stand_in: StandIn) -> None:
    stand_in.on("POST", f"{PATH}/cancel", answer(an_import("cancelling"), 202))
    result = run(stand_in, "imports", "cancel", IMPORT_ID, "--force")
    assert stand_in.bodies("POST", f"{PATH}/cancel") == [{"force": True}]
    assert result.stdout == f"{IMPORT_ID}: cancelling\n"


def test_retry_follows_the_next_attempt(stand_in: StandIn) -> None:
    stand_in.on("POST", f"{PATH}/retry", answer(an_import("queued", attempt=2), 202))
    stand_in.on("GET", f"{PATH}/events", stream(snapshot(an_import("succeeded", attempt=2))))
    result = run(stand_in, "imports", "retry", IMPORT_ID, "--proxy-host", HOST_ID)
    assert stand_in.bodies("POST", f"{PATH}/retry") == [{"proxy_host_id": HOST_ID}]
    assert result.exit_code == 0


def test_retry_of_what_can_not_be_retried_is_a_problem(stand_in: StandIn) -> None:
    stand_in.on("POST", f"{PATH}/retry", problem(409, "import_not_retryable", "No"))
    assert run(stand_in, "imports", "retry", IMPORT_ID).exit_code == 1


class Log:
    """A log that grows with every look at it, answered as the service does."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self._text = b""

    def answer(self, asked: Asked) -> Answer:
        if self._pieces:
            self._text += self._pieces.pop(0)
        first, _, last = asked.headers["range"].removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(self._text) - int(last), 0)
        if start >= len(self._text):
            return problem(416, "range_not_satisfiable", "Nothing there")
        span = f"bytes {start}-{len(self._text) - 1}/{len(self._text)}"
        return Answer(206, self._text[start:], "text/plain", {"Content-Range": span})


def test_a_log_is_printed_byte_for_byte(stand_in: StandIn) -> None:
    stand_in.on("GET", PATH, answer(an_import()))
    stand_in.on("GET", f"{PATH}/log", Log(b"[ 0.0] Opening\r\xff\n").answer)
    result = run(stand_in, "imports", "log", IMPORT_ID)
    assert result.stdout_bytes == b"[ 0.0] Opening\r\xff\n"


def test_only_the_end_of_a_log_on_request(stand_in: StandIn) -> None:
    stand_in.on("GET", PATH, answer(an_import()))
    stand_in.on("GET", f"{PATH}/log", Log(b"0123456789").answer)
    assert run(stand_in, "imports", "log", IMPORT_ID, "--tail", "3").stdout == "789"


def test_an_empty_log_is_no_failure(stand_in: StandIn) -> None:
    stand_in.on("GET", PATH, answer(an_import()))
    stand_in.on("GET", f"{PATH}/log", Log().answer)
    result = run(stand_in, "imports", "log", IMPORT_ID)
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_growing_log_is_followed_until_the_import_has_ended(stand_in: StandIn) -> None:
    running, ended = answer(an_import()), answer(an_import("succeeded"))
    stand_in.on("GET", PATH, running, running, running, running, ended)
    stand_in.on("GET", f"{PATH}/log", Log(b"one\n", b"", b"two \xc3", b"\xa4\n").answer)
    assert run(stand_in, "imports", "log", IMPORT_ID, "-f").stdout == "one\ntwo ä\n"


def test_a_log_as_json_is_a_line_a_piece(stand_in: StandIn) -> None:
    stand_in.on("GET", PATH, answer(an_import(attempt=2)))
    stand_in.on("GET", f"{PATH}/log", Log(b"one\n").answer)
    result = run(stand_in, "imports", "log", IMPORT_ID, "--json")
    assert json.loads(result.stdout) == {"attempt": 2, "offset": 0, "text": "one\n"}
