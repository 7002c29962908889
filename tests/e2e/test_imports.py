"""Imports through the whole service over HTTP, with real sshd and Redis and a stand-in for virt-v2v."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from defusedxml.ElementTree import fromstring

from tests.support.ovirt import make_domain
from tests.support.service import Place

pytestmark = pytest.mark.timeout(180)

MIB = 2**20


def new_disk(place: Place, *, name: str | None = None, size: int = 8 * MIB, kind: str = "qcow2") -> Path:
    path = place.sources / (name or f"{uuid4().hex[:8]}.{kind}")
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(path), str(size)], check=True)
    return path


def new_domain(place: Place, kind: str = "directory") -> tuple[str, Path]:
    """A storage domain of this test's own: its id and its directory."""
    parent = place.sources.parent / f"store-{uuid4().hex[:8]}"
    parent.mkdir()
    path = make_domain(parent) if kind == "ovirt_data" else parent
    return place.domain(path.parent.name + path.name, kind, path), path


def start(place: Place, path: Path, domain_id: str, **more: Any) -> str:
    body = {"source": {"kind": "disk", "path": str(path)}, "storage_domain_id": domain_id, **more}
    made: str = place.service.post("/v1/imports", body, status=202)["id"]
    return made


def stage_is(stage: str) -> Callable[[Any], bool]:
    return lambda found: found["stage"] == stage


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def assert_nothing_is_left(place: Place, import_id: str, store: Path, entries: int = 0) -> None:
    assert place.left_behind() == []
    assert len(list(store.iterdir())) == entries
    assert place.service.get("/v1/vms", import_id=import_id)["items"] == []
    assert [pid for pid in place.starts() if is_alive(pid)] == []


def test_a_disk_becomes_a_vm_with_its_disks_true_and_unlocked(place: Place) -> None:
    domain_id, store = new_domain(place)
    import_id = start(place, new_disk(place, size=8 * MIB), domain_id, vm={"name": f"web {domain_id[-6:]}"})
    ended = place.service.wait(import_id)
    assert (ended["state"], ended["problem"]) == ("succeeded", None)
    assert ended["progress"]["percent"] == 100
    assert [disk["percent"] for disk in ended["disk_progress"]] == [100]
    vm = place.service.get(f"/v1/vms/{ended['vm_id']}")
    assert (vm["name"], vm["state"]) == (f"web {domain_id[-6:]}", "down")
    disk = place.service.get(f"/v1/disks/{vm['disk_ids'][0]}")
    assert (disk["state"], disk["capacity_bytes"], disk["format"]) == ("ok", 8 * MIB, "raw")
    assert disk["actual_bytes"] is not None
    assert Path(disk["location"]["path"]).is_relative_to(store)
    metadata = place.service.client.get(f"/v1/vms/{ended['vm_id']}/metadata")
    assert fromstring(metadata.content).findtext("name") == vm["name"]
    assert place.left_behind() == []
    kinds = [item["kind"] for item in place.service.get(f"/v1/imports/{import_id}/timeline")["items"]]
    assert kinds[0] == "created"
    assert kinds[-1] == "succeeded"


def test_two_disks_have_each_their_own_progress_weighted_by_size(place: Place) -> None:
    domain_id, _ = new_domain(place)
    small, large = new_disk(place, size=4 * MIB), new_disk(place, size=12 * MIB)
    disks = "".join(
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{path}'/>"
        f"<target dev='vd{letter}' bus='virtio'/></disk>"
        for path, letter in ((small, "a"), (large, "b"))
    )
    xml = place.sources / f"{uuid4().hex[:8]}.xml"
    xml.write_text(
        f"<domain type='kvm'><name>two {xml.stem}</name><memory unit='MiB'>512</memory><vcpu>2</vcpu>"
        f"<os><type>hvm</type></os><devices>{disks}</devices></domain>"
    )
    place.control(copy_seconds=2)
    body = {"source": {"kind": "libvirt_xml", "path": str(xml)}, "storage_domain_id": domain_id}
    import_id = place.service.post("/v1/imports", body, status=202)["id"]
    seen: list[tuple[float, list[float]]] = []

    def note(found: Any) -> bool:
        if found["progress"]["percent"] is not None:
            percents = [disk["percent"] or 0.0 for disk in found["disk_progress"]]
            seen.append((found["progress"]["percent"], percents))
        return found["state"] == "succeeded"

    place.service.wait_for(import_id, note)
    totals = [total for total, _ in seen]
    assert totals == sorted(totals)
    assert len(set(totals)) > 3
    for total, (first, second) in seen:
        assert total == pytest.approx((4 * first + 12 * second) / 16, abs=0.1)
    assert any(second == 0 and first > 0 for _, (first, second) in seen)


def test_an_ovirt_data_domain_gets_volumes_that_were_made_before(place: Place) -> None:
    domain_id, path = new_domain(place, "ovirt_data")
    body = {"disk_defaults": {"format": "qcow2", "allocation": "sparse"}}
    ended = place.service.wait(start(place, new_disk(place), domain_id, **body))
    assert ended["state"] == "succeeded", ended["problem"]
    vm = place.service.get(f"/v1/vms/{ended['vm_id']}")
    disk = place.service.get(f"/v1/disks/{vm['disk_ids'][0]}")
    volume = Path(disk["location"]["path"])
    assert volume.is_relative_to(path / "images")
    assert volume.with_name(volume.name + ".meta").exists()
    assert (volume.stat().st_uid, volume.stat().st_gid) == (36, 36)
    assert place.left_behind() == []


def test_a_rehearsal_keeps_nothing(place: Place) -> None:
    domain_id = place.domain(f"null-{uuid4().hex[:6]}", "null", None)
    ended = place.service.wait(start(place, new_disk(place), domain_id))
    assert ended["state"] == "succeeded", ended["problem"]
    assert place.service.get("/v1/vms", import_id=ended["id"])["items"] == []
    assert place.left_behind() == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("inspection could not detect the source guest (or physical machine).", "no_os_found"),
        ("multi-boot operating systems are not supported by virt-v2v", "multi_boot"),
        ("not enough free space for conversion on filesystem /boot. 1.0 MB free < 50 MB", "guest_no_space"),
        ("a message that nobody knows", "conversion_failed"),
    ],
)
def test_virt_v2v_s_own_words_reach_the_user_with_a_code(place: Place, message: str, code: str) -> None:
    domain_id, store = new_domain(place)
    place.control(behaviour="fail", message=message)
    ended = place.service.wait(start(place, new_disk(place), domain_id))
    assert (ended["state"], ended["problem"]["code"]) == ("failed", code)
    assert message in ended["problem"]["detail"]
    assert message in place.service.client.get(f"/v1/imports/{ended['id']}/log").text
    assert_nothing_is_left(place, ended["id"], store)


@pytest.mark.parametrize("behaviour", ["missing_disk", "short_disk"])
def test_exit_0_with_a_wrong_disk_is_no_success(place: Place, behaviour: str) -> None:
    domain_id, store = new_domain(place)
    place.control(behaviour=behaviour)
    ended = place.service.wait(start(place, new_disk(place), domain_id))
    assert (ended["state"], ended["problem"]["code"]) == ("failed", "output_invalid")
    assert_nothing_is_left(place, ended["id"], store)


def test_a_failure_after_100_percent_is_a_failure(place: Place) -> None:
    domain_id, store = new_domain(place)
    place.control(behaviour="fail_after_copy")
    ended = place.service.wait(start(place, new_disk(place), domain_id))
    assert ended["state"] == "failed"
    assert_nothing_is_left(place, ended["id"], store)


def test_garbage_in_the_output_harms_nothing(place: Place) -> None:
    domain_id, _ = new_domain(place)
    place.control(behaviour="garbage")
    assert place.service.wait(start(place, new_disk(place), domain_id))["state"] == "succeeded"


@pytest.mark.parametrize("stage", ["inspecting", "copying"])
def test_a_cancel_leaves_nothing(place: Place, stage: str) -> None:
    domain_id, store = new_domain(place)
    place.control(seconds=20 if stage == "inspecting" else 0.2, copy_seconds=20)
    import_id = start(place, new_disk(place), domain_id)
    place.service.wait_for(import_id, stage_is(stage))
    place.service.post(f"/v1/imports/{import_id}/cancel", status=202)
    place.service.post(f"/v1/imports/{import_id}/cancel", status=202)
    assert place.service.wait(import_id)["state"] == "cancelled"
    assert_nothing_is_left(place, import_id, store)


def test_what_is_cancelled_can_be_retried(place: Place) -> None:
    domain_id, _ = new_domain(place)
    place.control(seconds=20)
    import_id = start(place, new_disk(place), domain_id)
    place.service.wait_for(import_id, stage_is("opening_source"))
    place.service.post(f"/v1/imports/{import_id}/cancel", status=202)
    place.service.wait(import_id)
    place.control()
    place.service.post(f"/v1/imports/{import_id}/retry", status=202)
    ended = place.service.wait(import_id, "succeeded")
    assert [attempt["outcome"] for attempt in ended["attempts"]] == ["cancelled", "succeeded"]


def test_a_killed_worker_s_conversion_is_adopted_and_ran_once(place: Place) -> None:
    domain_id, _ = new_domain(place)
    place.control(copy_seconds=12)
    before = place.starts()
    import_id = start(place, new_disk(place), domain_id)
    place.service.wait_for(import_id, lambda found: (found["progress"]["percent"] or 0) > 5)
    place.service.kill_worker()
    ended = place.service.wait(import_id)
    assert ended["state"] == "succeeded", ended["problem"]
    assert len(place.starts()) == len(before) + 1
    assert len(ended["attempts"]) == 1
    log = place.service.client.get(f"/v1/imports/{import_id}/log").text
    assert log.count("Copying disk 1/1") == 1
    assert log.count("Finishing off") == 1


def test_what_is_killed_with_its_supervisor_is_undone_and_done_once_more(place: Place) -> None:
    domain_id, store = new_domain(place)
    place.control(copy_seconds=60)
    before = len(place.starts())
    import_id = start(place, new_disk(place), domain_id)
    place.service.wait_for(import_id, stage_is("copying"))
    pid = place.starts()[-1]
    supervisor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    place.control()
    for one in (supervisor, pid):
        os.kill(one, signal.SIGKILL)
    states: list[str] = []

    def note(found: Any) -> bool:
        states.append(found["state"])
        return found["state"] != "running"

    ended = place.service.wait_for(import_id, note)
    assert (ended["state"], set(states[:-1])) == ("succeeded", {"running"})
    assert [one["outcome"] for one in ended["attempts"]] == ["failed", "succeeded"]
    assert ended["attempts"][0]["problem"]["code"] == "conversion_lost"
    assert (len(place.starts()), len(list(store.iterdir()))) == (before + 2, 1)
    assert place.left_behind() == []


def test_keep_on_failure_keeps_what_was_made_until_the_retry(place: Place) -> None:
    domain_id, store = new_domain(place)
    place.control(behaviour="fail_after_copy")
    import_id = start(place, new_disk(place), domain_id, keep_on_failure=True)
    ended = place.service.wait(import_id)
    assert ended["state"] == "failed"
    assert len(list(store.iterdir())) == 1
    assert [vm["state"] for vm in place.service.get("/v1/vms", import_id=import_id)["items"]] == ["illegal"]
    place.control()
    place.service.post(f"/v1/imports/{import_id}/retry", status=202)
    assert place.service.wait(import_id, "succeeded")["state"] == "succeeded"
    assert len(list(store.iterdir())) == 1
    assert place.left_behind() == []


def test_full_hosts_make_imports_wait_and_the_higher_priority_goes_first(place: Place) -> None:
    domain_id, _ = new_domain(place)
    patched = place.service.client.patch(
        f"/v1/proxy-hosts/{place.proxy_host_id}", json={"max_concurrent_imports": 1}
    )
    assert patched.is_success
    try:
        place.control(seconds=4)
        first = start(place, new_disk(place), domain_id)
        place.service.wait(first, "running")
        low = start(place, new_disk(place), domain_id, priority=2)
        high = start(place, new_disk(place), domain_id, priority=8)
        waiting = place.service.wait_for(low, lambda found: "as many as" in found["queue"]["reason"])
        assert waiting["queue"]["position"] == 2
        assert place.service.get(f"/v1/imports/{high}")["queue"]["position"] == 1
        place.control()
        ended = [place.service.wait(import_id) for import_id in (first, high, low)]
        assert [found["state"] for found in ended] == ["succeeded"] * 3
        assert ended[1]["started_at"] < ended[2]["started_at"]
    finally:
        place.service.client.patch(
            f"/v1/proxy-hosts/{place.proxy_host_id}", json={"max_concurrent_imports": None}
        )


def test_names_with_anything_in_them_stay_names(place: Place) -> None:
    domain_id, _ = new_domain(place)
    odd = new_disk(place, name=f"-x $(touch pwned) 'a\" {uuid4().hex[:6]}\n.qcow2")
    name = f"-rf $(reboot) 'q\" ä {uuid4().hex[:6]}"
    ended = place.service.wait(start(place, odd, domain_id, vm={"name": name}))
    assert ended["state"] == "succeeded", ended["problem"]
    assert place.service.get(f"/v1/vms/{ended['vm_id']}")["name"] == name
    assert not list(place.sources.parent.rglob("pwned"))


def test_a_source_outside_the_roots_is_refused_before_anything_is_made(place: Place) -> None:
    domain_id, store = new_domain(place)
    for more in ({}, {"proxy_host_id": place.proxy_host_id}):
        ended = place.service.wait(start(place, Path("/etc/passwd"), domain_id, **more))
        assert (ended["state"], ended["problem"]["code"]) == ("failed", "source_not_allowed")
        assert_nothing_is_left(place, ended["id"], store)


def test_an_image_that_points_elsewhere_is_unsafe(place: Place) -> None:
    domain_id, store = new_domain(place)
    path = place.sources / f"{uuid4().hex[:8]}.qcow2"
    base = ["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw"]
    subprocess.run([*base, str(path), "1M"], check=True)
    ended = place.service.wait(start(place, path, domain_id))
    assert (ended["state"], ended["problem"]["code"]) == ("failed", "unsafe_image")
    assert_nothing_is_left(place, ended["id"], store)


def test_a_name_is_free_again_when_its_import_has_failed(place: Place) -> None:
    domain_id, _ = new_domain(place)
    name = f"vm-{uuid4().hex[:8]}"
    place.control(seconds=3)
    first = start(place, new_disk(place), domain_id, vm={"name": name})
    body = {
        "source": {"kind": "disk", "path": str(new_disk(place))},
        "storage_domain_id": domain_id,
        "vm": {"name": name},
    }
    clash = place.service.client.post("/v1/imports", json=body)
    assert (clash.status_code, clash.json()["code"]) == (409, "name_in_use")
    place.service.post(f"/v1/imports/{first}/cancel", status=202)
    place.service.wait(first)
    assert place.service.client.post("/v1/imports", json=body).status_code == 202


def test_the_check_shows_the_choice_and_the_command_and_starts_nothing(place: Place) -> None:
    domain_id, store = new_domain(place)
    before = place.starts()
    body = {"source": {"kind": "disk", "path": str(new_disk(place))}, "storage_domain_id": domain_id}
    checked = place.service.post("/v1/imports/check", body, status=200)
    assert checked["importable"] is True
    assert checked["proxy_host"]["id"] == place.proxy_host_id
    assert "-o" in checked["command"]
    assert (place.starts(), list(store.iterdir())) == (before, [])


def test_a_deleted_vm_takes_its_disks_along_if_asked(place: Place) -> None:
    domain_id, store = new_domain(place)
    ended = place.service.wait(start(place, new_disk(place), domain_id))
    other = place.service.wait(start(place, new_disk(place), domain_id))
    answer = place.service.client.delete(f"/v1/vms/{ended['vm_id']}?delete_disks=true")
    assert answer.status_code == 204, answer.text
    assert len(list(store.iterdir())) == 1
    assert place.service.get(f"/v1/vms/{other['vm_id']}")["state"] == "down"


def test_a_drained_host_takes_nothing_until_it_is_enabled_again(place: Place) -> None:
    domain_id, _ = new_domain(place)
    url = f"/v1/proxy-hosts/{place.proxy_host_id}"
    assert place.service.client.patch(url, json={"enabled": False}).json()["status"]["state"] == "disabled"
    import_id = start(place, new_disk(place), domain_id)
    waiting = place.service.wait_for(
        import_id, lambda found: found["queue"] and "disabled" in found["queue"]["reason"]
    )
    assert waiting["state"] == "queued"
    assert place.service.client.patch(url, json={"enabled": True}).json()["status"]["state"] == "up"
    assert place.service.wait(import_id)["state"] == "succeeded"


def test_the_stream_of_an_import_tells_it_all_and_ends(place: Place) -> None:
    domain_id, _ = new_domain(place)
    place.control(copy_seconds=1)
    import_id = start(place, new_disk(place), domain_id)
    names: list[str] = []
    deadline = time.monotonic() + 60
    with place.service.client.stream("GET", f"/v1/imports/{import_id}/events") as answer:
        for line in answer.iter_lines():
            assert time.monotonic() < deadline
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
    assert names[0] == "snapshot"
    assert names[-1] == "import"
    assert names.count("progress") >= 5


def test_nothing_secret_is_in_the_log_of_the_service(place: Place) -> None:
    log = place.service.log()
    assert "PRIVATE KEY" not in log
    assert (place.service.data_dir / "admin-token").read_text().strip() not in log
    assert (place.service.data_dir / "admin-token").stat().st_mode & 0o077 == 0
