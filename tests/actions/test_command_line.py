"""Whole command lines: each kind of source with each kind of storage domain, for virt-v2v 2.2."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from app.actions.command_line import command_line
from app.errors import MissingAbilityError
from app.models.proxy_hosts import HostStatus, ProxyHost, VirtV2vStatus
from app.models.storage_domains import StorageDomain
from app.models.vm import SourceDisk, SourceNic, VmConfig
from app.v2v.command import Command
from tests.support.requests import request, target

VIRT_V2V = VirtV2vStatus(
    version="2.2.0",
    inputs=("disk", "libvirtxml", "ova"),
    outputs=("local", "null", "vdsm"),
    features=("mac-option", "virt-v2v-2.0"),
)
CONFIG = VmConfig(
    id="web",
    name="web 1",
    disks=(
        SourceDisk(id="vda", label="vda", capacity_bytes=4 * 2**20, format="qcow2", path="/srv/a b.qcow2"),
    ),
    nics=(SourceNic(id="nic-1", mac=None, network="lan"),),
)
SOURCES: list[tuple[dict[str, str], tuple[str, ...]]] = [
    ({"kind": "disk", "path": "/srv/a b.qcow2"}, ("-i", "disk", "/srv/a b.qcow2", "-if", "qcow2")),
    ({"kind": "libvirt_xml", "path": "/srv/a.xml"}, ("-i", "libvirtxml", "/w/attempt/source.xml")),
    ({"kind": "ova", "path": "/srv/-a $(b).ova"}, ("-i", "libvirtxml", "/w/attempt/source.xml")),
    (
        {"kind": "export_domain", "path": "/srv/export", "vm_id": str(UUID(int=3))},
        ("-i", "libvirtxml", "/w/attempt/source.xml"),
    ),
    ({"kind": "vmx", "path": "/srv/a.vmx"}, ("-i", "libvirtxml", "/w/attempt/source.xml")),
]
DOMAINS = [
    ("directory", {"path": "/srv/images"}, "local"),
    ("ovirt_data", {"path": f"/rhev/{UUID(int=1)}"}, "vdsm"),
    ("null", {}, "null"),
]


def command(
    source: Mapping[str, str],
    kind: str = "null",
    settings: Mapping[str, Any] | None = None,
    *,
    status: VirtV2vStatus | None = VIRT_V2V,
    **properties: Any,
) -> Command:
    host = ProxyHost(
        data_center_id=UUID(int=1),
        name="proxy-1",
        address="192.0.2.1",
        port=22,
        username="root",
        sudo=False,
        work_dir="/work",
        virt_v2v_path="/opt/virt-v2v",
        status=HostStatus(virt_v2v=status),
    )
    domain = StorageDomain(data_center_id=UUID(int=1), name="store", kind=kind, settings=dict(settings or {}))
    return command_line(request(source, **properties), host, domain, CONFIG, target())


@pytest.mark.parametrize(("source", "words"), SOURCES)
@pytest.mark.parametrize(("kind", "settings", "output"), DOMAINS)
def test_the_command_is_the_source_and_then_the_destination(
    source: dict[str, str],
    words: tuple[str, ...],
    kind: str,
    settings: dict[str, str],
    output: str,
) -> None:
    argv = command(source, kind, settings, conversion={"mode": "convert"}).argv
    begin, end = argv.index("-i"), argv.index("-o")
    assert argv[0] == "/opt/virt-v2v"
    assert argv[begin:end] == words
    assert argv[end + 1] == output


def test_networks_are_mapped_by_virt_v2v() -> None:
    argv = command(SOURCES[0][0], nics=[{"network": "lan", "target": "ovirtmgmt"}]).argv
    assert argv[argv.index("--network") + 1] == "lan:ovirtmgmt"


def test_a_key_is_in_a_file_and_in_no_word() -> None:
    newer = VIRT_V2V.model_copy(update={"version": "2.4.0"})
    made = command(SOURCES[1][0], status=newer, conversion={"luks_keys": ["s3cret"]})
    assert not any("s3cret" in word for word in (*made.argv, *made.masked))
    assert [(file.name, file.mode, file.secret) for file in made.files if file.data == b"s3cret"] == [
        ("luks-key-0", 0o600, True)
    ]


@pytest.mark.parametrize(("source", "words"), SOURCES)
@pytest.mark.parametrize(("kind", "settings", "output"), DOMAINS)
def test_a_copy_is_qemu_img_whatever_virt_v2v_can_do(
    source: dict[str, str], words: tuple[str, ...], kind: str, settings: dict[str, str], output: str
) -> None:
    made = command(source, kind, settings, status=None, conversion={"mode": "copy"})
    assert made.masked[:2] == ("qemu-img", "convert")
    assert made.argv == ("copy", "/w/attempt/copy.json", "--machine-readable=stream:stdout")
    assert not {*words, output} & {*made.masked}
    assert any('"filename": "/' in word for word in made.masked)


def test_a_host_that_was_never_checked_is_told() -> None:
    with pytest.raises(MissingAbilityError, match="proxy-1"):
        command(SOURCES[0][0], status=None)
