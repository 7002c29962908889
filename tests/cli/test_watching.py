"""`watch`: what people, pipes and scripts see of an import, and how the command ends."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from app.cli.bars import bars
from app.cli.stream import Event
from app.cli.watching import apply
from tests.support.api_stand_in import (
    DISK_ID,
    IMPORT_ID,
    VM_ID,
    Answer,
    Asked,
    StandIn,
    a_disk,
    an_import,
    answer,
    frame,
    progress,
    run,
    snapshot,
    stream,
)

PATH = f"/v1/imports/{IMPORT_ID}"
PROBLEM = {
    "title": "virt-v2v failed",
    "detail": "No root device found",
    "code": "no_os_found",
    "hint": "Is it a system disk?",
}


def progressed(first: float, second: float, cursor: str) -> bytes:
    state = "copying" if first < 100 else "copied"
    data = {
        "import_id": IMPORT_ID,
        "attempt": 1,
        "seq": 1,
        "at": "2026-11-24T10:00:02Z",
        "progress": progress((first + 2 * second) / 3, 50 * 2**20, 61),
        "disk_progress": [
            a_disk(1, first, state),
            a_disk(2, second, "copying" if second else "pending", "sdb"),
        ],
    }
    return frame("progress", data, cursor)


def said(severity: str, text: str) -> bytes:
    return frame("message", {"import_id": IMPORT_ID, "attempt": 1, "severity": severity, "text": text})


def watched(stand_in: StandIn, *frames: bytes) -> None:
    stand_in.on("GET", PATH, answer(an_import()))
    stand_in.on("GET", f"{PATH}/events", stream(*frames))


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 3)])
def test_the_exit_code_tells_how_the_import_ended(stand_in: StandIn, state: str, code: int) -> None:
    watched(stand_in, snapshot(an_import(state)))
    assert run(stand_in, "watch", IMPORT_ID).exit_code == code


def test_a_pipe_gets_a_line_for_every_stage_and_tenth(stand_in: StandIn) -> None:
    watched(
        stand_in,
        snapshot(an_import("queued", queue={"position": 2, "reason": "All proxy hosts are busy."})),
        frame("import", an_import(stage="inspecting")),
        frame("import", an_import(stage="copying_disk")),
        *(progressed(percent, 0, f"2-{percent}") for percent in (0, 1, 9, 10, 15, 20)),
        progressed(100, 5, "3-0"),
        said("info", "not shown"),
        said("warning", "no\x1b[31m drivers"),
        frame("import", an_import("succeeded")),
    )
    result = run(stand_in, "watch", IMPORT_ID)
    assert result.stdout.splitlines() == [
        "queued: number 2. All proxy hosts are busy.",
        "running · convert disks · inspecting",
        "running · convert disks · copying disk",
        "disk 1/2 sda: 0 % of 1.0 GiB, 50.0 MiB/s, total 0 %, 1 min 1 s left",
        "disk 1/2 sda: 10 % of 1.0 GiB, 50.0 MiB/s, total 3 %, 1 min 1 s left",
        "disk 1/2 sda: 20 % of 1.0 GiB, 50.0 MiB/s, total 7 %, 1 min 1 s left",
        "disk 1/2 sda: 100 % of 1.0 GiB, 50.0 MiB/s, total 37 %, 1 min 1 s left",
        "disk 2/2 sdb: 5 % of 2.0 GiB, 50.0 MiB/s, total 37 %, 1 min 1 s left",
        "warning: no\ufffd[31m drivers",
        "succeeded",
        f"The import {IMPORT_ID} succeeded after 3 min 2 s.",
    ]


def test_a_script_gets_every_event_as_a_line_of_json(stand_in: StandIn) -> None:
    watched(
        stand_in, snapshot(an_import(), "1-0"), said("info", "hello"), snapshot(an_import("failed"), "2-0")
    )
    result = run(stand_in, "watch", IMPORT_ID, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["event"], line["id"]) for line in lines] == [
        ("snapshot", "1-0"),
        ("message", "1-1"),
        ("snapshot", "2-0"),
    ]
    assert result.exit_code == 1


def test_a_failure_shows_why_and_how_to_go_on(stand_in: StandIn) -> None:
    watched(stand_in, snapshot(an_import("failed", problem=PROBLEM)))
    result = run(stand_in, "watch", IMPORT_ID)
    assert result.stderr.splitlines() == [
        "Error: virt-v2v failed (no_os_found)",
        "  No root device found",
        "  Hint: Is it a system disk?",
        f"  Log:   v2v-import imports log {IMPORT_ID}",
        f"  Retry: v2v-import imports retry {IMPORT_ID}",
    ]


def test_a_success_shows_where_the_vm_is(stand_in: StandIn) -> None:
    disk = {"location": {"path": "/store/web-1-sda"}, "format": "raw", "capacity_bytes": 2**30}
    watched(stand_in, snapshot(an_import("succeeded", vm_id=VM_ID)))
    stand_in.on("GET", f"/v1/vms/{VM_ID}", answer({"id": VM_ID, "name": "web-1", "disk_ids": [DISK_ID]}))
    stand_in.on("GET", f"/v1/disks/{DISK_ID}", answer(disk | {"actual_bytes": 2**29}))
    result = run(stand_in, "watch", IMPORT_ID)
    assert result.stdout.splitlines()[-2:] == [
        f"VM web-1 ({VM_ID})",
        "  /store/web-1-sda  raw, 1.0 GiB, 512.0 MiB used",
    ]


def test_progress_of_an_attempt_that_is_over_changes_nothing() -> None:
    late: dict[str, Any] = {"attempt": 1, "progress": progress(90), "disk_progress": []}
    document = an_import(attempt=2)
    assert apply(document, Event("progress", None, late)) == document


def rendered(document: dict[str, Any], width: int = 120) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(bars(document))
    return capture.get()


def beside_the_bar(line: str) -> str:
    label, _, *rest = line.split()
    return " ".join([label, *rest])


def test_a_terminal_shows_a_bar_for_every_disk_and_one_for_all() -> None:
    disks = [a_disk(1, 100, "copied"), a_disk(2, 25, "copying", "sdb")]
    shown = rendered(an_import(stage="copying", progress=progress(50, 2**26, 24), disk_progress=disks))
    heading, first, second, total = shown.splitlines()
    assert heading.strip() == "running · convert disks · copying"
    assert beside_the_bar(first) == "sda 100 % 1.0 GiB copied"
    assert beside_the_bar(second) == "sdb 25 % 2.0 GiB 64.0 MiB/s 0:24 left"
    assert beside_the_bar(total) == "total 50 % 1.5/3.0 GiB 64.0 MiB/s 0:24 left"


def test_a_narrow_terminal_still_shows_every_number() -> None:
    disks = [a_disk(1, 33, "copying", "a label that is much too long for it"), a_disk(2, 0, "pending", "sdb")]
    shown = rendered(an_import(progress=progress(11, 999.9 * 2**20, 3725), disk_progress=disks), width=80)
    _, first, _, total = (" ".join(line.split()) for line in shown.splitlines())
    assert first.endswith("33 % 1.0 GiB 999.9 MiB/s 0:01 left")
    assert total.endswith("11 % 337.9 MiB/3.0 GiB 999.9 MiB/s 1:02:05 left")


def test_what_is_not_known_yet_is_not_shown_as_zero() -> None:
    shown = rendered(an_import(disk_progress=[a_disk(1, None, "pending")]))
    assert "0 %" not in shown
    assert "0 B" not in shown


def test_a_stall_is_shown() -> None:
    stalled = progress(10) | {"stalled_since": "2026-11-24T10:00:00Z"}
    shown = rendered(an_import(progress=stalled, disk_progress=[a_disk(1, 10, "copying")]))
    assert "no sign of life" in shown


def test_ctrl_c_stops_the_watching_and_not_the_import(stand_in: StandIn) -> None:
    def interrupted(_: Asked) -> Answer:
        os.kill(process.pid, signal.SIGINT)
        return stream(snapshot(an_import()))

    stand_in.on("GET", PATH, answer(an_import()))
    stand_in.on("GET", f"{PATH}/events", interrupted)
    # Who runs the tests in the background may have made them ignore what Ctrl-C sends.
    listening = ["env", "--default-signal=INT", sys.executable, "-m", "app.cli"]
    process = subprocess.Popen(
        [*listening, "watch", IMPORT_ID, "--url", stand_in.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the import goes on" in told
    assert f"v2v-import watch {IMPORT_ID}" in told
    assert {asked.verb for asked in stand_in.asked} == {"GET"}
