"""Looking through folders on a host: what may be a VM is told, links lead nowhere, and there are bounds."""

import os
from pathlib import Path

import pytest

from app.errors import InvalidSourceError, SourceNotAllowedError
from app.proxy.agent_client import HostAgent
from app.proxy.folders import FolderForm, Walked
from tests.support.descriptions import domain_xml, vmx
from tests.support.images import make_backed, make_image
from tests.support.ovas import ovf, pack


async def walk(agent: HostAgent, path: Path) -> Walked:
    return await agent.walk(str(path), roots=[str(path)])


def told(walked: Walked, top: Path) -> dict[str, str]:
    return {str(Path(entry.path).relative_to(top)): entry.form.value for entry in walked.entries}


async def test_what_may_be_a_vm_is_told_by_its_content_rather_than_its_name(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    below = tmp_path / "a b" / 'it\'s "here"\nnow'
    below.mkdir(parents=True)
    pack(tmp_path / "web.ova", {"web.ovf": ovf()})
    pack(tmp_path / "web.tgz", {"web.ovf": ovf()}, compressed=True)
    (below / "WEB.OVF").write_bytes(ovf())
    (below / "db.txt").write_bytes(b"<?xml version='1.0'?><!-- <html> -->\n" + domain_xml(["db.img"]))
    (below / "app.vmx").write_bytes(vmx("app.vmdk"))
    make_image(below / "no suffix", "qcow2")
    make_image(below / "db.img", "raw")
    walked = await walk(local_agent, tmp_path)
    assert walked.complete
    assert walked.refused == ()
    folder = 'a b/it\'s "here"\nnow'
    assert told(walked, tmp_path) == {
        "web.ova": "ova",
        "web.tgz": "ova",
        f"{folder}/WEB.OVF": "ovf",
        f"{folder}/db.txt": "libvirt_xml",
        f"{folder}/app.vmx": "vmx",
        f"{folder}/no suffix": "disk",
        f"{folder}/db.img": "disk",
    }


async def test_what_is_no_vm_is_not_told(local_agent: HostAgent, tmp_path: Path) -> None:
    (tmp_path / "README").write_text("raw bytes are a disk only where the name says so")
    (tmp_path / "pom.xml").write_text("<project/>")
    (tmp_path / "empty.img").touch()
    (tmp_path / ".hidden.img").write_bytes(bytes(512))
    (tmp_path / ".snapshot").mkdir()
    make_image(tmp_path / ".snapshot" / "old.qcow2", "qcow2")
    pack(tmp_path / "backup.tar", {"etc/passwd": b"root"})
    os.mkfifo(tmp_path / "pipe.img")
    walked = await walk(local_agent, tmp_path)
    assert (walked.entries, walked.refused, walked.complete) == ((), (), True)


async def test_a_link_that_leads_out_is_refused_and_links_to_folders_are_not_followed(
    local_agent: HostAgent, tmp_path: Path
) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    top.mkdir()
    outside.mkdir()
    secret = make_image(outside / "secret.qcow2", "qcow2")
    (top / "leak.qcow2").symlink_to(secret)
    (top / "all").symlink_to(outside)
    (top / "again").symlink_to(top)
    (top / "round").symlink_to("round")
    make_image(top / "web.qcow2", "qcow2")
    (top / "same.qcow2").symlink_to("web.qcow2")
    walked = await walk(local_agent, top)
    assert told(walked, top) == {"web.qcow2": "disk"}
    assert {Path(refused.path).name: refused.code for refused in walked.refused} == {
        "leak.qcow2": "source_not_allowed",
        "round": "source_unreadable",
    }


async def test_a_name_that_is_no_text_is_told_with_its_reason(local_agent: HostAgent, tmp_path: Path) -> None:
    image = make_image(tmp_path / "web.qcow2", "qcow2")
    image.rename(os.fsdecode(os.fsencode(tmp_path) + b"/web-\xff.qcow2"))
    (walked,) = (await walk(local_agent, tmp_path)).refused
    assert walked.path.endswith("web-\N{REPLACEMENT CHARACTER}.qcow2")
    assert walked.code == "source_unreadable"


async def test_an_image_tells_what_it_stands_on(local_agent: HostAgent, tmp_path: Path) -> None:
    base = make_image(tmp_path / "base.img", "raw")
    make_backed(tmp_path / "web.qcow2", "base.img")
    found = {entry.path: entry.references for entry in (await walk(local_agent, tmp_path)).entries}
    assert found == {str(base): (), str(tmp_path / "web.qcow2"): (str(base),)}


async def test_a_domain_of_ovirt_is_one_thing(local_agent: HostAgent, tmp_path: Path) -> None:
    (tmp_path / "export" / "dom_md").mkdir(parents=True)
    (tmp_path / "export" / "dom_md" / "metadata").touch()
    (tmp_path / "export" / "images").mkdir()
    make_image(tmp_path / "export" / "images" / "volume", "qcow2")
    (entry,) = (await walk(local_agent, tmp_path)).entries
    assert entry.form is FolderForm.EXPORT_DOMAIN


async def test_it_ends_where_it_gets_too_deep_or_too_much(local_agent: HostAgent, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 20)
    deep.mkdir(parents=True)
    make_image(deep / "web.qcow2", "qcow2")
    walked = await walk(local_agent, tmp_path)
    assert (walked.entries, walked.complete) == ((), False)
    many = tmp_path / "many"
    many.mkdir()
    for number in range(1001):
        (many / f"{number}.vmx").touch()
    walked = await walk(local_agent, many)
    assert (len(walked.entries), walked.complete) == (1000, False)


async def test_only_a_folder_in_the_roots_is_looked_through(local_agent: HostAgent, tmp_path: Path) -> None:
    with pytest.raises(SourceNotAllowedError):
        await local_agent.walk("/", roots=[str(tmp_path)])
    with pytest.raises(InvalidSourceError):
        await walk(local_agent, make_image(tmp_path / "web.img", "raw"))
