"""Uploads over HTTP: a real server, a real sshd, the real agent; and what goes wrong on the way."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from app.models.columns import now
from app.models.proxy_hosts import HostState, HostStatus, ProxyHost
from app.models.uploads import Upload
from tests.support.api import problem_of
from tests.support.rows import proxy_host, up
from tests.support.sshd import SshServer
from tests.support.upload_site import MIB, MOST, UploadSite, upload_site
from tests.support.uploads import TUS, UPLOADS, creation, metadata, part
from tests.support.waiting import until

__all__ = ["upload_site"]


async def test_options_tell_what_is_spoken(upload_site: UploadSite) -> None:
    for path in (UPLOADS, f"{UPLOADS}/{uuid4()}"):
        answer = await upload_site.tus.http.options(path)
        assert answer.status_code == 204
        assert answer.headers["tus-version"] == "1.0.0"
        assert set(answer.headers["tus-extension"].split(",")) == {
            "creation",
            "creation-with-upload",
            "termination",
            "checksum",
            "expiration",
        }
        assert answer.headers["tus-max-size"] == str(MOST)
        assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"


async def test_a_file_comes_in_parts_and_is_complete_at_its_end(upload_site: UploadSite) -> None:
    path = await upload_site.create(10, "a/ü \"b'.img")
    shown = await upload_site.tus.shown(path)
    assert (shown["state"], shown["offset_bytes"], shown["length_bytes"]) == ("receiving", 0, 10)
    assert (shown["file_name"], shown["proxy_host_id"]) == ("a/ü \"b'.img", upload_site.host_id)
    first = await upload_site.tus.send(path, 0, b"01234")
    assert (first.status_code, first.headers["upload-offset"]) == (204, "5")
    assert first.headers["tus-resumable"] == "1.0.0"
    assert await upload_site.tus.offset(path) == 5
    await upload_site.tus.send(path, 5, b"56789")
    shown = await upload_site.tus.shown(path)
    assert (shown["state"], shown["offset_bytes"]) == ("complete", 10)
    [data] = (upload_site.work_dir / "uploads").glob("*/data")
    assert data.read_bytes() == b"0123456789"
    listed = (await upload_site.tus.http.get(UPLOADS, params={"state": "complete"})).json()["items"]
    assert [item["id"] for item in listed] == [shown["id"]]


async def test_head_tells_all_that_is_needed_to_go_on(upload_site: UploadSite) -> None:
    path = await upload_site.create(10)
    answer = await upload_site.tus.http.head(path, headers=TUS)
    assert (answer.headers["upload-offset"], answer.headers["upload-length"]) == ("0", "10")
    assert answer.headers["upload-metadata"] == metadata(
        filename="web.img", proxy_host_id=upload_site.host_id
    )
    assert answer.headers["upload-expires"].endswith("GMT")
    assert answer.headers["cache-control"] == "no-store"


async def test_a_creation_may_bring_the_first_bytes(upload_site: UploadSite) -> None:
    headers = creation(4, filename="x", proxy_host_id=upload_site.host_id) | part(0)
    answer = await upload_site.tus.http.post(UPLOADS, headers=headers, content=b"01")
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "2")
    assert await upload_site.tus.offset(answer.headers["location"]) == 2


async def test_a_file_without_bytes_is_complete_at_once(upload_site: UploadSite) -> None:
    assert (await upload_site.tus.shown(await upload_site.create(0)))["state"] == "complete"


async def test_a_data_center_chooses_a_host_with_room(upload_site: UploadSite, sshd: SshServer) -> None:
    async with upload_site.api.database.session() as session:
        down = HostStatus(state=HostState.UNREACHABLE)
        await proxy_host(session, UUID(upload_site.center_id), "down", status=down)
        await proxy_host(
            session, UUID(upload_site.center_id), "away", port=9, address="127.0.0.1", status=up()
        )
    path = await upload_site.tus.create(4, filename="x", data_center_id=upload_site.center_id)
    assert (await upload_site.tus.shown(path))["proxy_host_id"] == upload_site.host_id


async def test_the_same_key_makes_one_upload(upload_site: UploadSite) -> None:
    headers = creation(4, filename="x", proxy_host_id=upload_site.host_id) | {"Idempotency-Key": "1"}
    answers = [await upload_site.tus.http.post(UPLOADS, headers=headers) for _ in range(2)]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    other = creation(5, filename="x", proxy_host_id=upload_site.host_id) | {"Idempotency-Key": "1"}
    assert await upload_site.refused(other) == (409, "idempotency_key_reused")


async def test_a_creation_that_makes_no_sense_says_why(upload_site: UploadSite) -> None:
    host = upload_site.host_id
    good = creation(4, filename="x", proxy_host_id=host)
    without = {name: value for name, value in good.items() if name != "Upload-Length"}
    assert await upload_site.refused(without) == (400, "invalid_request")
    assert await upload_site.refused(without | {"Upload-Defer-Length": "1"}) == (
        400,
        "unsupported_tus_extension",
    )
    assert await upload_site.refused(good | {"Upload-Concat": "partial"}) == (
        400,
        "unsupported_tus_extension",
    )
    assert await upload_site.refused(good | {"Tus-Resumable": "0.2.2"}) == (412, "unsupported_tus_version")
    assert await upload_site.refused(creation(4, proxy_host_id=host)) == (400, "invalid_request")
    assert await upload_site.refused(creation(4, filename="x")) == (400, "invalid_request")
    both = creation(4, filename="x", proxy_host_id=host, data_center_id=upload_site.center_id)
    assert await upload_site.refused(both) == (400, "invalid_request")
    assert await upload_site.refused(creation(4, filename="x" * 256, proxy_host_id=host)) == (
        400,
        "invalid_request",
    )
    assert await upload_site.refused(creation(4, filename="a\0b", proxy_host_id=host)) == (
        400,
        "invalid_request",
    )
    assert await upload_site.refused(good | {"Upload-Metadata": "filename !"}) == (400, "invalid_request")
    unknown = creation(4, filename="x", proxy_host_id=str(uuid4()))
    assert await upload_site.refused(unknown) == (422, "unknown_reference")
    json = good | {"Content-Type": "application/json"}
    assert await upload_site.refused(json, b"{}") == (415, "unsupported_media_type")
    assert await upload_site.refused(creation(MOST + 1, filename="x", proxy_host_id=host)) == (
        413,
        "upload_too_long",
    )


async def test_room_is_held_for_what_has_not_come_yet(upload_site: UploadSite) -> None:
    async with upload_site.api.database.session() as session:
        host = await session.get_one(ProxyHost, UUID(upload_site.host_id))
        other = Upload(
            file_name="big",
            metadata_text="",
            length_bytes=2**60,
            proxy_host_id=host.id,
            created_by="x",
            expires_at=now(),
        )
        session.add(other)
    assert await upload_site.refused(creation(4, filename="x", proxy_host_id=upload_site.host_id)) == (
        422,
        "no_room",
    )
    assert upload_site.left() == []


async def test_a_wrong_offset_is_409_and_changes_nothing(upload_site: UploadSite) -> None:
    path = await upload_site.create(10)
    assert problem_of(await upload_site.tus.send(path, 3, b"x")) == (409, "upload_offset_mismatch")
    assert await upload_site.tus.offset(path) == 0


@pytest.mark.parametrize("chunked", [False, True])
async def test_too_much_is_413_and_changes_nothing(upload_site: UploadSite, *, chunked: bool) -> None:
    path = await upload_site.create(10)
    await upload_site.tus.send(path, 0, b"01")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"234567"
        yield b"89..."

    data = pieces() if chunked else b"23456789..."
    assert problem_of(await upload_site.tus.send(path, 2, data)) == (413, "upload_too_long")
    assert await upload_site.tus.offset(path) == 2


async def test_a_checksum_that_does_not_fit_is_460_and_the_chunk_is_discarded(
    upload_site: UploadSite,
) -> None:
    path = await upload_site.create(4)
    for algorithm in ("sha1", "sha256"):
        wrong = f"{algorithm} {base64.b64encode(hashlib.new(algorithm, b'else').digest()).decode()}"
        answer = await upload_site.tus.send(path, 0, b"0123", **{"Upload-Checksum": wrong})
        assert problem_of(answer) == (460, "upload_checksum_mismatch")
    assert await upload_site.tus.offset(path) == 0
    right = f"sha1 {base64.b64encode(hashlib.sha1(b'0123').digest()).decode()}"  # noqa: S324  tus has it so
    assert (await upload_site.tus.send(path, 0, b"0123", **{"Upload-Checksum": right})).status_code == 204
    for bad in ("md5 eA==", "sha1", "sha1 eA==", "sha1 ?"):
        answer = await upload_site.tus.send(path, 4, b"", **{"Upload-Checksum": bad})
        assert problem_of(answer) == (400, "invalid_request")


async def test_bytes_of_another_media_type_are_415(upload_site: UploadSite) -> None:
    path = await upload_site.create(4)
    headers = TUS | {"Upload-Offset": "0", "Content-Type": "application/json"}
    assert problem_of(await upload_site.tus.http.patch(path, headers=headers, content=b"{}"))[0] == 415
    answer = await upload_site.tus.http.patch(path, headers=TUS | {"Upload-Offset": "0"})
    assert problem_of(answer)[0] == 415


class Held:
    """A body that stops in the middle until it is let go on."""

    def __init__(self, first: bytes, rest: bytes = b"") -> None:
        self.go_on = asyncio.Event()
        self._first, self._rest = first, rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        await self.go_on.wait()
        yield self._rest


async def test_a_second_writer_is_423_until_the_first_has_gone(upload_site: UploadSite) -> None:
    path = await upload_site.create(2 * MIB)
    body = Held(bytes(MIB))
    first = asyncio.create_task(upload_site.tus.send(path, 0, body))
    await until(lambda: _has(upload_site, MIB))
    assert problem_of(await upload_site.tus.send(path, MIB, b"x")) == (423, "upload_locked")
    assert await upload_site.tus.offset(path) == MIB
    first.cancel()
    await asyncio.wait({first})

    async def goes_on() -> bool:
        return (await upload_site.tus.send(path, MIB, bytes(MIB))).status_code == 204

    await until(goes_on)
    assert (await upload_site.tus.shown(path))["state"] == "complete"


async def test_the_offset_is_told_while_bytes_come(upload_site: UploadSite) -> None:
    path = await upload_site.create(2 * MIB)
    body = Held(bytes(MIB), bytes(MIB))
    sending = asyncio.create_task(upload_site.tus.send(path, 0, body))
    await until(lambda: _has(upload_site, MIB))
    assert (await upload_site.tus.shown(path))["offset_bytes"] == MIB
    body.go_on.set()
    assert (await sending).headers["upload-offset"] == str(2 * MIB)


async def test_a_connection_to_the_host_that_is_cut_loses_nothing(
    upload_site: UploadSite, own_sshd: SshServer
) -> None:
    await _move_to(upload_site, own_sshd)
    path = await upload_site.create(3 * MIB)
    body = Held(bytes(MIB), bytes(2 * MIB))
    sending = asyncio.create_task(upload_site.tus.send(path, 0, body))
    await until(lambda: _has(upload_site, MIB))
    own_sshd.cut()
    body.go_on.set()
    assert problem_of(await sending) == (503, "host_connection_lost")

    async def goes_on() -> bool:
        offset = await upload_site.tus.offset(path)
        answer = await upload_site.tus.send(path, offset, bytes(3 * MIB - offset))
        return answer.status_code == 204

    await until(goes_on)
    assert (await upload_site.tus.shown(path))["state"] == "complete"


async def _move_to(upload_site: UploadSite, sshd: SshServer) -> None:
    async with upload_site.api.database.session() as session:
        host = await session.get_one(ProxyHost, UUID(upload_site.host_id))
        host.port, host.host_key = sshd.port, sshd.host_key
        sealed = {"private_key": sshd.client_key}
        host.sealed_secrets = upload_site.api.state.sealer.seal(sealed, f"proxy_hosts:{host.id}")


def _has(upload_site: UploadSite, size: int) -> bool:
    return any(data.stat().st_size >= size for data in (upload_site.work_dir / "uploads").glob("*/data"))


async def test_a_deleted_upload_is_gone_here_and_on_the_host(upload_site: UploadSite) -> None:
    path = await upload_site.whole(b"x")
    assert (await upload_site.tus.http.delete(path, headers=TUS)).status_code == 204
    assert upload_site.left() == []
    assert problem_of(await upload_site.tus.http.get(path)) == (404, "not_found")
    assert problem_of(await upload_site.tus.send(path, 1, b"")) == (404, "not_found")
    assert problem_of(await upload_site.tus.http.delete(path)) == (404, "not_found")


async def test_what_can_t_be_removed_now_is_removed_by_the_sweep(
    upload_site: UploadSite, own_sshd: SshServer
) -> None:
    await _move_to(upload_site, own_sshd)
    path = await upload_site.whole(b"x")
    own_sshd.stop()
    assert (await upload_site.tus.http.delete(path)).status_code == 204
    assert len(upload_site.left()) == 1
    own_sshd.start()

    async def is_gone() -> bool:
        await upload_site.sweep()
        return upload_site.left() == []

    await until(is_gone)


async def test_one_that_is_never_finished_expires_and_is_removed(upload_site: UploadSite) -> None:
    path, other = await upload_site.create(10), await upload_site.create(10)
    await upload_site.let_expire(path)
    await upload_site.sweep()
    assert upload_site.left() == [other.rsplit("/", 1)[1]]
    assert (await upload_site.tus.shown(path))["state"] == "expired"
    assert (await upload_site.tus.http.head(path, headers=TUS)).status_code == 410
    assert problem_of(await upload_site.tus.send(path, 0, b"x")) == (410, "upload_expired")
    assert (await upload_site.tus.http.delete(path)).status_code == 204
    await upload_site.sweep()
    assert problem_of(await upload_site.tus.http.get(path)) == (404, "not_found")


async def test_what_the_host_has_lost_is_told_as_lost(upload_site: UploadSite) -> None:
    path = await upload_site.create(10)
    upload_id = path.rsplit("/", 1)[1]
    (upload_site.work_dir / "uploads" / upload_id / "told.json").unlink()
    assert (await upload_site.tus.http.head(path, headers=TUS)).status_code == 410
    assert (await upload_site.tus.shown(path))["state"] == "lost"
    assert problem_of(await upload_site.tus.send(path, 0, b"x")) == (410, "upload_lost")


async def test_a_live_import_keeps_its_uploads_and_these_their_host(upload_site: UploadSite) -> None:
    path = await upload_site.whole(b"x")
    answer = await upload_site.import_of(path)
    assert answer.status_code == 202, answer.text
    assert answer.json()["spec"]["proxy_host_id"] == upload_site.host_id
    assert problem_of(await upload_site.tus.http.delete(path)) == (409, "in_use")
    await upload_site.let_expire(path)
    await upload_site.sweep()
    assert (await upload_site.tus.shown(path))["state"] == "complete"
    host = f"/v1/proxy-hosts/{upload_site.host_id}"
    await upload_site.tus.http.post(f"/v1/imports/{answer.json()['id']}/cancel")
    assert problem_of(await upload_site.api.admin.delete(host)) == (409, "in_use")
    moved = await upload_site.api.admin.patch(host, json={"work_dir": "/var/lib/elsewhere"})
    assert problem_of(moved) == (409, "in_use")
    assert (await upload_site.tus.http.delete(path)).status_code == 204
    assert (await upload_site.api.admin.delete(host)).status_code == 204


async def test_an_import_takes_only_complete_uploads_that_are_together(upload_site: UploadSite) -> None:
    whole, part_of_one = await upload_site.whole(b"x"), await upload_site.create(10)
    assert problem_of(await upload_site.import_of(part_of_one)) == (409, "upload_not_complete")
    unknown = await upload_site.import_of(whole, f"{UPLOADS}/{uuid4()}")
    assert problem_of(unknown) == (422, "unknown_reference")
    assert unknown.json()["errors"][0]["pointer"] == "/source/upload_ids/1"
    assert problem_of(await upload_site.import_of(whole, whole))[0] == 422
    async with upload_site.api.database.session() as session:
        other = await proxy_host(session, UUID(upload_site.center_id), "proxy-2")
        elsewhere = Upload(
            file_name="y",
            metadata_text="",
            length_bytes=0,
            state="complete",
            proxy_host_id=other.id,
            created_by="x",
            expires_at=now(),
        )
        session.add(elsewhere)
    apart = await upload_site.import_of(whole, f"{UPLOADS}/{elsewhere.id}")
    assert problem_of(apart) == (422, "unsupported_property")
    assert apart.json()["errors"][0]["pointer"] == "/source/upload_ids/1"
    wrong_host = await upload_site.import_of(whole, proxy_host_id=str(other.id))
    assert wrong_host.json()["errors"][0]["pointer"] == "/proxy_host_id"


async def test_uploads_are_no_orphans_until_nobody_knows_them(upload_site: UploadSite) -> None:
    path = await upload_site.create(10)
    upload_id = path.rsplit("/", 1)[1]
    assert (await upload_site.api.admin.get("/v1/orphans")).json()["items"] == []
    async with upload_site.api.database.session() as session:
        await session.delete(await session.get_one(Upload, UUID(upload_id)))
    [orphan] = (await upload_site.api.admin.get("/v1/orphans")).json()["items"]
    assert (orphan["kind"], orphan["attempt_id"]) == ("upload", upload_id)
    removed = await upload_site.api.admin.post("/v1/orphans/remove", json={"ids": [orphan["id"]]})
    assert [item["outcome"] for item in removed.json()["items"]] == ["removed"]
    assert upload_site.left() == []


async def test_viewers_look_and_operators_upload(upload_site: UploadSite) -> None:
    path = await upload_site.create(10)
    viewer = upload_site.api.stack_client("viewer")
    assert (await viewer.get(path)).status_code == 200
    headers = creation(4, filename="x", proxy_host_id=upload_site.host_id)
    assert problem_of(await viewer.post(UPLOADS, headers=headers)) == (403, "forbidden")
    assert problem_of(await viewer.patch(path, headers=part(0), content=b"x")) == (403, "forbidden")
    assert problem_of(await viewer.delete(path)) == (403, "forbidden")
    nobody = upload_site.api.stack_client(None)
    assert problem_of(await nobody.patch(path, headers=part(0), content=b"x")) == (401, "unauthorized")


async def test_a_method_may_be_overridden(upload_site: UploadSite) -> None:
    path = await upload_site.create(1)
    headers = part(0) | {"X-HTTP-Method-Override": "PATCH"}
    assert (await upload_site.tus.http.post(path, headers=headers, content=b"x")).status_code == 204
