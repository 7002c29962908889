"""Proxy hosts over HTTP: enrolled with the key that they show, kept with secrets that never come back."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api, pointers, problem_of
from tests.support.sshd import SshServer


@pytest.fixture
async def enrolled(api: Api, sshd: SshServer, work_dir: Path) -> dict[str, Any]:
    """A host whose key nobody has accepted yet."""
    address = sshd.address(work_dir)
    assert address.private_key is not None
    return await api.host(
        await api.center(),
        address=address.address,
        port=address.port,
        username=address.username,
        private_key=address.private_key.get_secret_value(),
        work_dir=str(work_dir),
    )


def path_of(host: dict[str, Any]) -> str:
    return f"/v1/proxy-hosts/{host['id']}"


async def test_a_host_is_unverified_until_its_key_is_accepted(api: Api, enrolled: dict[str, Any]) -> None:
    status = enrolled["status"]
    assert (status["state"], enrolled["host_key"]) == ("unverified", None)
    assert status["problem"]["code"] == "host_key_unverified"
    assert status["fingerprint"].startswith("SHA256:")
    answer = await api.admin.patch(path_of(enrolled), json={"host_key": status["offered_host_key"]})
    shown = answer.json()
    assert shown["host_key"] == status["offered_host_key"]
    assert shown["status"]["state"] in {"up", "unusable"}
    assert shown["status"]["cpu_count"] >= 1
    assert answer.headers["ETag"] == (await api.viewer.get(path_of(enrolled))).headers["ETag"]


async def test_another_key_than_the_accepted_one_is_never_taken(api: Api, enrolled: dict[str, Any]) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    shown = (await api.admin.patch(path_of(enrolled), json={"host_key": other})).json()
    assert (shown["status"]["state"], shown["status"]["problem"]["code"]) == (
        "unreachable",
        "host_key_mismatch",
    )
    assert shown["host_key"] == other
    forgotten = (await api.admin.patch(path_of(enrolled), json={"host_key": None})).json()
    assert (forgotten["host_key"], forgotten["status"]["state"]) == (None, "unverified")


async def test_a_drained_host_is_disabled_until_it_is_enabled_again(
    api: Api, enrolled: dict[str, Any]
) -> None:
    drained = (await api.admin.patch(path_of(enrolled), json={"enabled": False})).json()
    assert (drained["enabled"], drained["status"]["state"]) == (False, "disabled")
    assert (await api.operator.post(f"{path_of(enrolled)}/check")).json()["status"]["state"] == "disabled"
    again = (await api.admin.patch(path_of(enrolled), json={"enabled": True})).json()
    assert again["status"]["state"] == "unverified"


async def test_a_host_that_does_not_answer_is_enrolled_and_unreachable(api: Api) -> None:
    host = await api.host(await api.center())
    assert (host["status"]["state"], host["status"]["problem"]["code"]) == ("unreachable", "host_unreachable")
    checked = await api.operator.post(f"{path_of(host)}/check")
    assert (checked.status_code, checked.json()["status"]["state"]) == (200, "unreachable")
    assert checked.headers["ETag"] == (await api.viewer.get(path_of(host))).headers["ETag"]


async def test_secrets_never_come_back(api: Api) -> None:
    host = await api.host(await api.center(), password="s3cret-word")
    answers = [
        await api.admin.get(path_of(host)),
        await api.admin.get("/v1/proxy-hosts"),
        await api.admin.patch(path_of(host), json={"password": "s3cret-other"}),
        await api.admin.post(f"{path_of(host)}/check"),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [answer for answer in answers if "s3cret" in answer.text] == []
    assert (host["has_password"], host["has_private_key"]) == (True, False)


async def test_a_secret_changes_the_etag_and_null_takes_it_away(api: Api) -> None:
    host = await api.host(await api.center(), password="s3cret")
    before = (await api.viewer.get(path_of(host))).headers["ETag"]
    changed = await api.admin.patch(path_of(host), json={"password": "other"})
    assert changed.headers["ETag"] != before
    taken = (await api.admin.patch(path_of(host), json={"password": None})).json()
    assert taken["has_password"] is False


async def test_keys_that_can_not_be_read_are_pointed_at(api: Api) -> None:
    host = await api.host(await api.center())
    for change, pointer in (
        ({"host_key": "no key"}, "/host_key"),
        ({"private_key": "no key"}, "/private_key"),
        ({"host_key": "ssh-ed25519 AAAA\nssh-rsa BBBB"}, "/host_key"),
    ):
        answer = await api.admin.patch(path_of(host), json=change)
        assert (problem_of(answer), pointers(answer)) == ((422, "validation_error"), [pointer])


REFUSED: dict[str, tuple[Any, ...]] = {
    "address": ("", "-oProxyCommand=x", "a b", "a;b", "$(x)", "a/b"),
    "username": ("", "-l", "a b", "a:b", "a@b", "a\n", "ü"),
    "work_dir": ("", "relative", "/a/../b", "/..", "/a\0"),
    "virt_v2v_path": ("", "other", "bin/virt-v2v", "/a/../b", "/a\n"),
    "port": (0, 65536, "22", True, 1.5),
    "sudo": ("yes", 1),
    "max_concurrent_imports": (0, 1001, "1"),
}


async def test_members_that_could_mislead_a_shell_or_ssh_are_refused(api: Api) -> None:
    path = path_of(await api.host(await api.center()))
    for name, values in REFUSED.items():
        for value in values:
            answer = await api.admin.patch(path, json={name: value})
            assert (name, value, pointers(answer)) == (name, value, [f"/{name}"])


async def test_only_known_names_stand_in_the_environment(api: Api) -> None:
    path = path_of(await api.host(await api.center()))
    for environment in ({"LD_PRELOAD": "x"}, {"LIBGUESTFS_A B": "x"}, {"VIRTIO_WIN": "a\nb"}):
        answer = await api.admin.patch(path, json={"environment": environment})
        assert pointers(answer) == [f"/environment/{next(iter(environment))}"]
    good = {"VIRTIO_WIN": "/usr/share/virtio-win", "LIBGUESTFS_BACKEND": "direct"}
    assert (await api.admin.patch(path, json={"environment": good})).json()["environment"] == good


async def test_odd_paths_are_fine(api: Api) -> None:
    roots = ["/srv/odd names/'$(x)'", "/srv/ü\n"]
    host = await api.host(await api.center(), source_roots=roots, work_dir="/a..b")
    assert (await api.viewer.get(path_of(host))).json()["source_roots"] == roots
