"""`providers`: added with secrets from files, checked, and their VMs listed."""

from pathlib import Path
from typing import Any

from tests.support.api_stand_in import HOST_ID, StandIn, answer, page, run

PROVIDERS = "/v1/providers"
PROVIDER_ID = "01935b8e-0000-7000-8000-000000000007"
PATH = f"{PROVIDERS}/{PROVIDER_ID}"


def a_provider(state: str = "up", **status: Any) -> dict[str, Any]:
    shown = {"problem": None, "product": "QEMU", "version": "9.0.0", "fingerprint": None}
    return {
        "id": PROVIDER_ID,
        "name": "kvm-1",
        "kind": "kvm",
        "url": "qemu+ssh://root@kvm-1/system",
        "status": {"state": state, "offered_thumbprint": None, **shown, **status},
        "inventory": {"state": "ready", "vm_count": 2, "fetched_at": None, "problem": None},
    }


def test_options_become_a_request_with_secrets_from_files(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.on("POST", PROVIDERS, answer(a_provider(), 201))
    (tmp_path / "word").write_text("s3cret\n")
    (tmp_path / "ca").write_text("-----BEGIN\n")
    result = run(
        stand_in,
        *("providers", "add", "vc", "--kind", "vmware", "--at", "https://vc", "--username", "u"),
        *("--password-file", str(tmp_path / "word"), "--ca-file", str(tmp_path / "ca")),
        *("--proxy-host", HOST_ID, "--max-concurrent-imports", "2"),
    )
    assert result.exit_code == 0
    assert stand_in.bodies("POST", PROVIDERS) == [
        {
            "name": "vc",
            "kind": "vmware",
            "url": "https://vc",
            "username": "u",
            "password": "s3cret",
            "tls": {"ca_pem": "-----BEGIN\n"},
            "proxy_host_id": HOST_ID,
            "max_concurrent_imports": 2,
        }
    ]
    assert "9.0.0" in result.stdout


def test_one_that_is_not_up_ends_with_1(stand_in: StandIn) -> None:
    stand_in.on("POST", f"{PATH}/check", answer(a_provider("unreachable")))
    assert run(stand_in, "providers", "check", PROVIDER_ID).exit_code == 1


def test_what_is_missing_is_a_usage_error(stand_in: StandIn) -> None:
    assert run(stand_in, "providers", "add", "vc").exit_code == 2


def test_providers_and_their_vms_are_listed(stand_in: StandIn) -> None:
    stand_in.on("GET", PROVIDERS, page(a_provider()))
    assert "kvm-1" in run(stand_in, "providers", "list").stdout
    vm = {"id": "vm-1", "name": "web", "state": "up", "disk_count": None, "capacity_bytes": 2**30}
    concerns = [{"severity": "critical", "code": "vm_running"}, {"severity": "info", "code": "no_nics"}]
    stand_in.on("GET", f"{PATH}/vms", page({**vm, "concerns": concerns}))
    shown = run(stand_in, "providers", "vms", "kvm-1", "--name", "we", "--state", "up").stdout
    assert ("vm_running" in shown, "no_nics" in shown) == (True, False)
    [asked] = [asked for asked in stand_in.asked if asked.path == f"{PATH}/vms"]
    assert (asked.query["name"], asked.query["state"]) == (["we"], ["up"])


def test_a_refresh_and_a_removal(stand_in: StandIn) -> None:
    stand_in.on("POST", f"{PATH}/refresh", answer(a_provider(), 202))
    stand_in.on("DELETE", PATH, answer({}, 204))
    assert "being read" in run(stand_in, "providers", "refresh", PROVIDER_ID).stdout
    assert run(stand_in, "providers", "delete", PROVIDER_ID).exit_code == 0
