"""`import`: from options to a request, and on to following it."""

import json
from pathlib import Path

import pytest

from app.cli.create_import import SourceKind
from tests.support.api_stand_in import (
    CENTER_ID,
    DOMAIN_ID,
    HOST_ID,
    IMPORT_ID,
    StandIn,
    an_import,
    answer,
    page,
    problem,
    run,
    snapshot,
    stream,
)

IMPORTS = "/v1/imports"
OTHER_ID = "01935b8e-0000-7000-8000-0000000000ff"


@pytest.fixture(autouse=True)
def _places(stand_in: StandIn) -> None:
    stand_in.on("GET", "/v1/data-centers", page({"id": CENTER_ID, "name": "north", "networks": []}))
    stores = (
        {"id": DOMAIN_ID, "name": "store", "data_center_id": CENTER_ID},
        {"id": OTHER_ID, "name": "store", "data_center_id": OTHER_ID},
        {"id": OTHER_ID, "name": "tape", "data_center_id": OTHER_ID},
    )
    stand_in.on("GET", "/v1/storage-domains", page(*stores))
    stand_in.on("GET", "/v1/proxy-hosts", page({"id": HOST_ID, "name": "p1", "data_center_id": CENTER_ID}))
    stand_in.on("GET", "/v1/providers", page({"id": HOST_ID, "name": "/srv/x"}))
    stand_in.on("POST", IMPORTS, answer(an_import("queued"), 202))


def test_options_become_a_request(stand_in: StandIn, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("pass phrase \n")
    options = (
        "--to store --data-center north --proxy-host p1 --name web --cpu 4 --memory 2G --format qcow2"
        " --allocation preallocated --network VM:lan --mac 52:54:00:00:00:01=dmz --root single --debug"
        " --priority 9 --label team=web --label a=b=c --accept-concern no_nics --exclude-disk sdb --no-follow"
    )
    result = run(stand_in, "import", "ova", "/srv/web.ova", *options.split(), "--luks-key-file", str(key))
    assert result.stdout.strip() == IMPORT_ID
    assert stand_in.bodies("POST", IMPORTS) == [
        {
            "source": {"kind": "ova", "path": "/srv/web.ova"},
            "storage_domain_id": DOMAIN_ID,
            "data_center_id": None,
            "proxy_host_id": HOST_ID,
            "vm": {"name": "web", "cpu_count": 4, "memory_bytes": 2**31, "os": None, "description": None},
            "disk_defaults": {"format": "qcow2", "allocation": "preallocated"},
            "disks": [{"source_disk_id": "sdb", "include": False}],
            "nics": [
                {"network": "VM", "target": "lan"},
                {"mac": "52:54:00:00:00:01", "target": "dmz"},
            ],
            "conversion": {"root": "single", "luks_keys": ["pass phrase "], "debug": True},
            "priority": 9,
            "start_after": None,
            "labels": {"team": "web", "a": "b=c"},
            "keep_on_failure": False,
            "accept_concerns": ["no_nics"],
        }
    ]


@pytest.mark.parametrize("mode", [None, "copy", "convert"])
def test_the_mode_is_the_service_s_choice_unless_it_is_given(stand_in: StandIn, mode: str | None) -> None:
    words = ["--mode", mode] if mode else []
    run(stand_in, "import", "disk", "/srv/x", "--to", DOMAIN_ID, "--no-follow", *words)
    assert stand_in.bodies("POST", IMPORTS)[0]["conversion"].get("mode") == mode


def test_uploads_are_named_by_their_ids(stand_in: StandIn) -> None:
    run(stand_in, "import", "upload", f"{HOST_ID},{CENTER_ID}", "--to", DOMAIN_ID, "--no-follow")
    source = stand_in.bodies("POST", IMPORTS)[0]["source"]
    assert source == {"kind": "upload", "upload_ids": [HOST_ID, CENTER_ID]}


def test_a_vm_of_a_provider_is_named_by_both(stand_in: StandIn) -> None:
    words = ["import", "provider-vm", HOST_ID, "--vm-id", "vm-1", "--to", DOMAIN_ID, "--no-follow"]
    run(stand_in, *words)
    source = stand_in.bodies("POST", IMPORTS)[0]["source"]
    assert source == {"kind": "provider_vm", "provider_id": HOST_ID, "vm_id": "vm-1"}


@pytest.mark.parametrize("kind", list(SourceKind))
def test_every_kind_is_named_as_the_service_names_it(stand_in: StandIn, kind: SourceKind) -> None:
    run(stand_in, "import", kind, "/srv/x", "--to", DOMAIN_ID, "--no-follow")
    assert stand_in.bodies("POST", IMPORTS)[0]["source"]["kind"] == kind.replace("-", "_")


def test_it_is_followed_to_its_end(stand_in: StandIn) -> None:
    stand_in.on("GET", f"{IMPORTS}/{IMPORT_ID}/events", stream(snapshot(an_import("cancelled"))))
    result = run(stand_in, "import", "disk", "/srv/x.qcow2", "--to", "tape")
    assert result.exit_code == 3
    assert result.stdout.splitlines()[0] == f"Import {IMPORT_ID}"


def test_json_without_following_is_the_import(stand_in: StandIn) -> None:
    result = run(stand_in, "import", "ova", "/x", "--to", "tape", "--no-follow", "--json")
    assert json.loads(result.stdout) == an_import("queued")


def test_a_name_that_fits_several_domains_is_refused_with_their_ids(stand_in: StandIn) -> None:
    result = run(stand_in, "import", "ova", "/x", "--to", "store")
    assert result.exit_code == 1
    assert DOMAIN_ID in result.stderr
    assert OTHER_ID in result.stderr
    assert stand_in.bodies("POST", IMPORTS) == []


def test_an_unknown_name_is_refused(stand_in: StandIn) -> None:
    result = run(stand_in, "import", "ova", "/x", "--to", "nowhere")
    assert "None of the storage domains is named 'nowhere'." in result.stderr
    assert "v2v-import storage-domains list" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--to", "tape", "--memory", "much"],
        ["--to", "tape", "--network", "lan"],
        ["--to", "tape", "--label", "x"],
        ["--to", "tape", "--luks-key-file", "/nowhere/key"],
        ["--to", "tape", "--priority", "10"],
    ],
)
def test_wrong_options_are_a_usage_error(stand_in: StandIn, options: list[str]) -> None:
    assert run(stand_in, "import", "ova", "/x", *options).exit_code == 2
    assert stand_in.bodies("POST", IMPORTS) == []


def checked(stand_in: StandIn, *, importable: bool, **fields: object) -> None:
    found = {"importable": importable, "problems": [], "concerns": [], "proxy_host": None, "command": None}
    stand_in.on("POST", f"{IMPORTS}/check", answer(found | fields))


def test_a_check_shows_the_command_and_starts_nothing(stand_in: StandIn) -> None:
    host = {"id": HOST_ID, "reason": "It has the most room."}
    checked(stand_in, importable=True, proxy_host=host, command=["virt-v2v", "-i", "ova", "/x y"])
    result = run(stand_in, "import", "ova", "/x", "--to", "tape", "--check")
    assert result.exit_code == 0
    assert "virt-v2v -i ova '/x y'" in result.stdout
    assert stand_in.bodies("POST", IMPORTS) == []


def test_a_check_that_fails_says_why_and_ends_with_1(stand_in: StandIn) -> None:
    concern = {"code": "no_disks", "severity": "critical", "message": "The VM has no disks."}
    missing = {"title": "The source is not there", "code": "source_not_found", "detail": "No /x."}
    checked(stand_in, importable=False, concerns=[concern], problems=[missing])
    result = run(stand_in, "import", "ova", "/x", "--to", "tape", "--check")
    assert result.exit_code == 1
    assert "critical: The VM has no disks. (no_disks)" in result.stdout
    assert "Error: The source is not there (source_not_found)" in result.stderr


def test_a_check_that_is_refused_is_a_problem(stand_in: StandIn) -> None:
    stand_in.on("POST", f"{IMPORTS}/check", problem(422, "source_not_found", "The source is not there"))
    result = run(stand_in, "import", "ova", "/x", "--to", "tape", "--check")
    assert result.exit_code == 1
    assert "source_not_found" in result.stderr
