"""Storage domains over HTTP: settings by kind, merged by a change, checked through the proxy hosts."""

from typing import Any

from tests.support.api import Api, pointers, problem_of

DOMAINS = "/v1/storage-domains"


async def test_each_kind_has_its_settings(api: Api) -> None:
    center = await api.center()
    for number, (kind, settings, shown) in enumerate(
        (
            ("directory", {"path": "/srv"}, {"path": "/srv", "proxy_host_id": None}),
            ("ovirt_data", {"path": "/data"}, {"path": "/data"}),
            ("null", {}, {}),
        )
    ):
        made = await api.domain(center, f"store-{number}", kind=kind, settings=settings)
        assert (made["kind"], made["settings"], made["status"]["state"]) == (kind, shown, "unverified")


async def test_a_kind_that_there_is_not_is_refused(api: Api) -> None:
    body = {"data_center_id": await api.center(), "name": "x", "kind": "tape", "settings": {}}
    answer = await api.admin.post(DOMAINS, json=body)
    assert (problem_of(answer), pointers(answer)) == ((422, "validation_error"), [""])


async def test_settings_are_merged_and_checked_anew(api: Api) -> None:
    center = await api.center()
    host = await api.host(center)
    domain = await api.domain(center)
    path = f"{DOMAINS}/{domain['id']}"
    checked = (await api.operator.post(f"{path}/check")).json()
    assert checked["status"]["state"] == "unusable"
    pinned = await api.admin.patch(path, json={"settings": {"proxy_host_id": host["id"]}})
    assert pinned.json()["settings"] == {"path": "/srv/store", "proxy_host_id": host["id"]}
    assert pinned.json()["status"]["state"] == "unverified"
    free = await api.admin.patch(path, json={"settings": {"proxy_host_id": None}})
    assert free.json()["settings"] == {"path": "/srv/store", "proxy_host_id": None}


async def test_settings_that_do_not_fit_the_kind_are_pointed_at(api: Api) -> None:
    path = f"{DOMAINS}/{(await api.domain(await api.center()))['id']}"
    changes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"path": None}, "/settings/path"),
        ({"path": "x"}, "/settings/path"),
        ({"other": 1}, "/settings/other"),
        ({"proxy_host_id": "x"}, "/settings/proxy_host_id"),
    )
    for settings, pointer in changes:
        assert pointers(await api.admin.patch(path, json={"settings": settings})) == [pointer]


async def test_a_check_tells_what_each_host_finds(api: Api) -> None:
    center = await api.center()
    domain = await api.domain(center)
    host = await api.host(center)
    status = (await api.operator.post(f"{DOMAINS}/{domain['id']}/check")).json()["status"]
    assert [(found["proxy_host_id"], found["usable"]) for found in status["proxy_hosts"]] == [
        (host["id"], False)
    ]
    assert status["problem"]["code"] == "host_key_unverified"
