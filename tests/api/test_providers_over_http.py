"""Providers over HTTP: kept with secrets that never come back nor go elsewhere, and their VMs listed."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.api import CLOSED_PORT, pointers, problem_of
from tests.support.providers import PROVIDERS, Providing, providing
from tests.support.waiting import until

__all__ = ["providing"]

SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
CLOSED = f"https://127.0.0.1:{CLOSED_PORT}"


def path_of(provider: dict[str, Any]) -> str:
    return f"{PROVIDERS}/{provider['id']}"


async def kvm(providing: Providing, **ssh: Any) -> dict[str, Any]:
    """A KVM host that does not answer."""
    url = f"qemu+ssh://root@127.0.0.1:{CLOSED_PORT}/system"
    given = {"username": "root", "password": "s3cret", "host_key": SSH_KEY, **ssh}
    return await providing.provider(name="kvm-2", url=url, ssh=given)


async def test_a_provider_is_made_read_changed_and_removed(providing: Providing) -> None:
    api = providing.api
    made = await providing.provider()
    assert (made["status"]["state"], made["status"]["version"]) == ("up", "9.0.0")
    assert made["inventory"] == {"state": "none", "fetched_at": None, "vm_count": None, "problem": None}
    changed = await api.admin.patch(path_of(made), json={"name": "kvm-9", "max_concurrent_imports": 2})
    read = await api.viewer.get(path_of(made))
    assert changed.json() == read.json() == made | {"name": "kvm-9", "max_concurrent_imports": 2}
    assert changed.headers["ETag"] == read.headers["ETag"]
    stale = await api.admin.delete(path_of(made), headers={"If-Match": '"99"'})
    assert problem_of(stale) == (412, "precondition_failed")
    assert (await api.admin.delete(path_of(made))).status_code == httpx.codes.NO_CONTENT
    assert problem_of(await api.viewer.get(path_of(made))) == (404, "not_found")


async def test_names_are_unique_and_lists_are_filtered(providing: Providing) -> None:
    api = providing.api
    made = await providing.provider()
    body = {"name": "kvm-1", "kind": "kvm", "url": "test:///default"}
    assert problem_of(await api.admin.post(PROVIDERS, json=body)) == (409, "name_in_use")
    for query, found in (({"kind": "kvm"}, [made["id"]]), ({"kind": "xen"}, []), ({"name": "other"}, [])):
        listed = (await api.viewer.get(PROVIDERS, params=query)).json()["items"]
        assert [provider["id"] for provider in listed] == found


async def test_the_same_key_makes_one_provider(providing: Providing) -> None:
    body = {"name": "kvm-1", "kind": "kvm", "url": f"test://{providing.file}"}
    headers = {"Idempotency-Key": "once"}
    first, second = [await providing.api.admin.post(PROVIDERS, json=body, headers=headers) for _ in range(2)]
    assert (first.json(), first.status_code) == (second.json(), 201)


async def test_only_administrators_change_providers(providing: Providing) -> None:
    made = await providing.provider()
    for client in (providing.api.operator, providing.api.viewer):
        assert problem_of(await client.delete(path_of(made))) == (403, "forbidden")
    assert problem_of(await providing.api.viewer.post(f"{path_of(made)}/refresh")) == (403, "forbidden")


async def test_urls_that_could_do_more_are_refused(providing: Providing) -> None:
    for kind, url in (
        ("kvm", "qemu+ext://h/system?command=x"),
        ("vmware", "https://u:p@h"),
        ("xen", "xen://h"),
    ):
        answer = await providing.api.admin.post(PROVIDERS, json={"name": "x", "kind": kind, "url": url})
        assert (problem_of(answer), pointers(answer)) == ((422, "invalid_provider_url"), ["/url"])


async def test_a_login_that_is_missing_or_another_is_pointed_at(providing: Providing) -> None:
    body = {"name": "x", "kind": "kvm", "url": "qemu+ssh://root@h/system"}
    for more, pointer in (
        ({}, "/ssh"),
        ({"ssh": {"username": "other"}}, "/ssh/username"),
        ({"proxy_host_id": str(uuid4()), "url": "test:///default"}, "/proxy_host_id"),
    ):
        answer = await providing.api.admin.post(PROVIDERS, json=body | more)
        assert (problem_of(answer), pointers(answer)) == ((422, "unsupported_property"), [pointer])


async def test_datastores_are_not_read_by_ssh_without_a_login(providing: Providing) -> None:
    body = {"name": "x", "kind": "vmware", "url": CLOSED, "options": {"transport": "ssh"}}
    answer = await providing.api.admin.post(PROVIDERS, json=body)
    assert (problem_of(answer), pointers(answer)) == ((422, "unsupported_property"), ["/ssh"])
    made = (await providing.api.admin.post(PROVIDERS, json=body | {"options": {}})).json()
    changed = await providing.api.admin.patch(path_of(made), json={"options": {"transport": "ssh"}})
    assert (problem_of(changed), pointers(changed)) == ((422, "unsupported_property"), ["/ssh"])
    options = {"transport": "vddk"}
    without_vddk = await providing.api.admin.post(PROVIDERS, json=body | {"options": options})
    assert problem_of(without_vddk) == (422, "validation_error")


async def test_keys_and_certificates_that_can_not_be_read_are_pointed_at(providing: Providing) -> None:
    body = {"name": "x", "kind": "vmware", "url": CLOSED}
    for more, pointer in (
        ({"ssh": {"host_key": "no key"}}, "/ssh/host_key"),
        ({"ssh": {"private_key": "no key"}}, "/ssh/private_key"),
        ({"tls": {"ca_pem": "no certificate"}}, "/tls/ca_pem"),
        ({"tls": {"thumbprint": "AA:BB"}}, "/tls/thumbprint"),
    ):
        answer = await providing.api.admin.post(PROVIDERS, json=body | more)
        assert (problem_of(answer), pointers(answer)) == ((422, "validation_error"), [pointer])


async def test_secrets_never_come_back(providing: Providing) -> None:
    api = providing.api
    made = await kvm(providing)
    answers = [
        await api.admin.get(path_of(made)),
        await api.admin.get(PROVIDERS),
        await api.admin.post(f"{path_of(made)}/check"),
        await api.admin.patch(path_of(made), json={"username": "other", "password": "s3cret-2"}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [answer for answer in answers if "s3cret" in answer.text] == []
    shown = answers[-1].json()
    assert (shown["has_password"], shown["ssh"]["has_password"], shown["ssh"]["has_private_key"]) == (
        True,
        True,
        False,
    )


async def test_a_provider_that_moves_needs_its_secrets_again(providing: Providing) -> None:
    api = providing.api
    made = await kvm(providing)
    elsewhere = "qemu+ssh://root@127.0.0.2:9/system"
    host = await api.host(await api.center())
    for change in (
        {"url": elsewhere},
        {"proxy_host_id": host["id"]},
        {"ssh": {"host_key": None}},
        {"tls": {"verify": False}},
    ):
        answer = await api.admin.patch(path_of(made), json=change)
        assert (problem_of(answer), pointers(answer)) == ((422, "secrets_needed"), ["/ssh/password"])
    moved = await api.admin.patch(path_of(made), json={"url": elsewhere, "ssh": {"password": "again"}})
    assert (moved.status_code, moved.json()["url"]) == (200, elsewhere)
    bare = await api.admin.patch(path_of(made), json={"proxy_host_id": host["id"], "ssh": {"password": None}})
    assert (bare.status_code, bare.json()["ssh"]["has_password"]) == (200, False)
    assert problem_of(await api.admin.delete(f"/v1/proxy-hosts/{host['id']}")) == (409, "in_use")


async def test_what_stays_as_it_is_needs_no_secret(providing: Providing) -> None:
    made = await kvm(providing)
    same = {"url": made["url"], "ssh": {"username": "root"}, "name": "other"}
    answer = await providing.api.admin.patch(path_of(made), json=same)
    assert (answer.status_code, answer.json()["name"]) == (200, "other")


async def test_options_are_those_of_the_kind_and_merged(providing: Providing) -> None:
    api, made = providing.api, await providing.provider(options={"libvirt_socket": "/run/libvirt/s"})
    answer = await api.admin.patch(path_of(made), json={"options": {"datacenter": "x"}})
    assert (problem_of(answer), pointers(answer)) == ((422, "unsupported_property"), ["/options/datacenter"])
    for given, kept in (({}, "/run/libvirt/s"), ({"libvirt_socket": None}, None)):
        answer = await api.admin.patch(path_of(made), json={"options": given})
        assert answer.json()["options"] == {"libvirt_socket": kept}


async def test_a_null_within_ssh_is_refused_where_it_means_nothing(providing: Providing) -> None:
    answer = await providing.api.admin.patch(path_of(await kvm(providing)), json={"ssh": {"username": None}})
    assert pointers(answer) == ["/ssh/username"]


async def test_a_provider_that_does_not_answer_is_unreachable(providing: Providing) -> None:
    made = await kvm(providing)
    status = made["status"]
    assert (status["state"], status["problem"]["code"]) == ("unreachable", "provider_unreachable")


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("authentication_failed", "unusable"),
        ("timeout", "unreachable"),
        ("certificate_untrusted", "unverified"),
    ],
)
async def test_what_a_check_finds_is_the_status(providing: Providing, code: str, state: str) -> None:
    made = await providing.provider()
    providing.has(refuses={"code": code, "detail": "It said no."}, vms=[])
    answer = await providing.api.operator.post(f"{path_of(made)}/check")
    status = answer.json()["status"]
    assert (status["state"], status["problem"]["detail"]) == (state, "It said no.")
    assert status["version"] == "9.0.0"


async def test_the_program_is_told_all_and_the_url_in_parts(providing: Providing) -> None:
    made = await providing.provider(username="u", tls={"verify": False})
    told = json.loads(made["status"]["product"])
    assert told["url"] == {
        "scheme": "test",
        "host": None,
        "port": None,
        "path": str(providing.file),
        "username": None,
    }
    assert (told["do"], told["way"], told["username"]) == ("check", {"kind": "direct"}, "u")
    assert told["tls"] == {"verify": False, "ca_pem": None, "thumbprint": None}


# --- inventories -----------------------------------------------------------------------------------------


async def listed(providing: Providing, provider: dict[str, Any], **query: Any) -> dict[str, Any]:
    answer = await providing.api.viewer.get(f"{path_of(provider)}/vms", params=query)
    assert answer.status_code == httpx.codes.OK, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_the_first_call_reads_the_inventory_and_later_ones_show_it(providing: Providing) -> None:
    made = await providing.provider()
    first = await listed(providing, made)
    assert [(vm["id"], vm["path"], vm["state"]) for vm in first["items"]] == [("vm-1", "/web", "down")]
    assert (first["items"][0]["importable"], first["items"][0]["disk_count"]) == (None, 1)
    providing.has(vms=[])
    assert await listed(providing, made) == first
    refreshed = await providing.api.operator.post(f"{path_of(made)}/refresh")
    assert (refreshed.status_code, refreshed.headers["Location"]) == (202, path_of(made))
    await until(lambda: _has_state(providing, made, "ready"))
    assert (await listed(providing, made))["items"] == []


async def _has_state(providing: Providing, provider: dict[str, Any], state: str) -> bool:
    shown = (await providing.api.viewer.get(path_of(provider))).json()
    return bool(shown["inventory"]["state"] == state)


async def test_ten_thousand_vms_are_listed_page_by_page_by_name(providing: Providing) -> None:
    providing.has(vms=[{"id": "a", "name": "a 100%_done", "state": "up"}], count=10_000)
    made = await providing.provider()
    names: list[str] = []
    query: dict[str, Any] = {"limit": 1000}
    while True:
        page = await listed(providing, made, **query)
        names += [vm["name"] for vm in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert (len(names), len(set(names))) == (10_001, 10_001)
    for wanted, found in (({"name": "100%_D"}, ["a"]), ({"state": "up"}, ["a"]), ({"name": "0%1"}, [])):
        assert [vm["id"] for vm in (await listed(providing, made, **wanted))["items"]] == found


async def test_a_vm_that_can_not_be_read_is_listed_with_the_reason(providing: Providing) -> None:
    providing.has(vms=[{"id": "vm-1", "name": "web", "unreadable": "It has no configuration file."}])
    [vm] = (await listed(providing, await providing.provider()))["items"]
    messages = {concern["code"]: concern["message"] for concern in vm["concerns"]}
    assert (vm["importable"], messages["vm_unreadable"]) == (False, "It has no configuration file.")


async def test_a_reading_that_fails_is_told_and_the_former_list_stays(providing: Providing) -> None:
    api, made = providing.api, await providing.provider()
    providing.has(refuses={"code": "permission_denied", "detail": "It may not."}, vms=[])
    answer = await api.viewer.get(f"{path_of(made)}/vms")
    assert problem_of(answer) == (422, "provider_permission_denied")
    providing.has(vms=[{"id": "vm-1", "name": "web"}])
    assert len((await listed(providing, made))["items"]) == 1
    providing.has(refuses={"code": "unreachable", "detail": "It is gone."}, vms=[])
    await api.operator.post(f"{path_of(made)}/refresh")
    await until(lambda: _has_state(providing, made, "failed"))
    assert len((await listed(providing, made))["items"]) == 1


async def test_a_malformed_cursor_is_refused(providing: Providing) -> None:
    made = await providing.provider()
    for cursor in ("x", "W10", "WyJhIl0", "WyJhIiwgMV0", "é"):
        answer = await providing.api.viewer.get(f"{path_of(made)}/vms", params={"cursor": cursor})
        assert problem_of(answer) == (400, "invalid_cursor")


async def test_one_vm_is_shown_live(providing: Providing) -> None:
    made = await providing.provider()
    shown = (await providing.api.viewer.get(f"{path_of(made)}/vms/vm-1")).json()
    assert (shown["name"], shown["disks"], shown["importable"]) == ("web", [], False)
    answer = await providing.api.viewer.get(f"{path_of(made)}/vms/vm-2")
    assert problem_of(answer) == (404, "not_found")


# --- imports ---------------------------------------------------------------------------------------------


async def test_an_import_names_a_provider_that_is_there_and_can_be_imported_from(
    providing: Providing,
) -> None:
    api = providing.api
    domain = await api.domain(await api.center())
    body = {"source": {"kind": "provider_vm", "vm_id": "vm-1"}, "storage_domain_id": domain["id"]}
    body["source"]["provider_id"] = str(uuid4())
    answer = await api.operator.post("/v1/imports", json=body)
    assert (problem_of(answer), pointers(answer)) == ((422, "unknown_reference"), ["/source/provider_id"])


async def test_a_live_import_uses_its_provider_and_finds_it_by_it(providing: Providing) -> None:
    api, made = providing.api, await providing.provider()
    domain = await api.domain(await api.center())
    source = {"kind": "provider_vm", "provider_id": made["id"], "vm_id": "vm-1"}
    body = {"source": source, "storage_domain_id": domain["id"]}
    import_id = (await api.operator.post("/v1/imports", json=body)).json()["id"]
    found = (await api.viewer.get("/v1/imports", params={"provider_id": made["id"]})).json()["items"]
    assert [shown["id"] for shown in found] == [import_id]
    for answer in (
        await api.admin.delete(path_of(made)),
        await api.admin.patch(path_of(made), json={"url": "test:///default"}),
    ):
        assert problem_of(answer) == (409, "in_use")
        assert import_id in answer.json()["detail"]
    assert (await api.admin.patch(path_of(made), json={"max_concurrent_imports": 1})).status_code == 200
    await api.operator.post(f"/v1/imports/{import_id}/cancel")
    assert (await api.admin.delete(path_of(made))).status_code == httpx.codes.NO_CONTENT
