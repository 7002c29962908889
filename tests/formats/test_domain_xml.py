"""libvirt's XML: what a source's says, and what becomes of the one that virt-v2v wrote."""

from pathlib import Path
from xml.etree.ElementTree import canonicalize

import pytest

from app.errors import InvalidSourceError
from app.formats.domain_xml import read_domain_xml, with_identity
from app.models.vm import DiskFault, DiskMode, Firmware, SourceDisk, SourceNic

DATA = Path(__file__).resolve().parent.parent / "data"
SOURCE = (DATA / "libvirt-domain.xml").read_bytes()
WRITTEN = (DATA / "virt-v2v-2.2.0-local.xml").read_bytes()
GIB = 2**30


def disk(**known: object) -> SourceDisk:
    name = known["id"]
    return SourceDisk.model_validate({"label": name, "capacity_bytes": None, **known})


def minimal(inside: str = "", devices: str = "") -> bytes:
    return f"<domain><name>a</name>{inside}<devices>{devices}</devices></domain>".encode()


def test_a_domain_is_read() -> None:
    found = read_domain_xml(SOURCE)
    assert (found.id, found.name) == ("6b7a2f0c-1d2e-4f3a-8b4c-5d6e7f809102", "web & mail")
    assert (found.cpu_count, found.memory_bytes, found.firmware) == (4, 4 * GIB, Firmware.UEFI)
    assert (found.os, found.description) == ("http://debian.org/debian/12", "the shop's front door")


def test_disks_are_read_in_order_without_the_drives_for_media() -> None:
    assert read_domain_xml(SOURCE).disks == (
        disk(id="vda", format="qcow2", bus="virtio", path="/var/lib/libvirt/images/web & mail.qcow2"),
        disk(id="sdb", format="raw", bus="scsi", path="/dev/mapper/data", is_raw_device=True),
        disk(id="vdb", format="raw", bus="virtio", fault=DiskFault.NETWORK),
        disk(id="vdc"),
        disk(id="hda", bus="ide", path="relative.img"),
    )


@pytest.mark.parametrize(
    ("driver", "format_name"),
    [
        ("<driver name='tap' type='aio'/>", "raw"),
        ("<driver name='tap2' type='vhd'/>", "vpc"),
        ("<driver name='phy'/>", None),
    ],
)
def test_the_formats_of_xen_are_told_in_qemu_s_words(driver: str, format_name: str | None) -> None:
    text = f"<disk type='block'>{driver}<source dev='/dev/vg/a'/><target dev='xvda' bus='xen'/></disk>"
    assert read_domain_xml(minimal(devices=text)).disks[0].format == format_name


@pytest.mark.parametrize(
    ("answer", "path", "fault"),
    [
        ("/srv/pool/data.img", "/srv/pool/data.img", None),
        (None, None, DiskFault.VOLUME_MISSING),
        ("rbd/data.img", None, DiskFault.NETWORK),
    ],
)
def test_a_volume_of_a_pool_is_where_the_pool_says(
    answer: str | None, path: str | None, fault: DiskFault | None
) -> None:
    asked: list[tuple[str, str]] = []
    found = read_domain_xml(SOURCE, lambda *names: asked.append(names) or answer).disks[3]
    assert (found.id, found.path, found.fault) == ("vdc", path, fault)
    assert asked == [("default", "data.img")]


@pytest.mark.parametrize(
    ("element", "told"),
    [
        ("<shareable/>", {"is_shared": True}),
        ("<transient/>", {"mode": DiskMode.INDEPENDENT_NONPERSISTENT}),
        ("<encryption format='luks'/>", {"fault": DiskFault.ENCRYPTED}),
        ("", {}),
    ],
)
def test_what_a_disk_is_besides_is_told(element: str, told: dict[str, object]) -> None:
    text = f"<disk type='file'><source file='/a'/><target dev='vda'/>{element}</disk>"
    assert read_domain_xml(minimal(devices=text)).disks == (disk(id="vda", path="/a", **told),)


def test_an_image_that_libvirt_encrypts_is_told_in_both_places_where_it_may_say_so() -> None:
    inside = "<disk type='file'><source file='/a'><encryption format='luks'/></source></disk>"
    assert read_domain_xml(minimal(devices=inside)).disks[0].fault is DiskFault.ENCRYPTED


def test_a_card_of_the_host_and_its_network_are_told() -> None:
    devices = (
        "<interface type='hostdev'><mac address='52:54:00:00:00:01'/></interface>"
        "<interface type='direct'><source dev='eth0' mode='bridge'/></interface>"
    )
    first, second = read_domain_xml(minimal(devices=devices)).nics
    assert (first.model, first.network) == ("passthrough", None)
    assert second.network == "eth0"


def test_nics_are_read_in_order() -> None:
    assert read_domain_xml(SOURCE).nics == (
        SourceNic(id="nic-1", mac="52:54:00:12:34:56", network="lan", model="virtio"),
        SourceNic(id="nic-2", mac="52:54:00:12:34:57", network="br0", model="e1000"),
        SourceNic(id="nic-3", mac=None, network=None),
    )


def test_a_domain_that_says_little_is_read() -> None:
    found = read_domain_xml(b"<domain><name>a</name></domain>")
    assert (found.id, found.cpu_count, found.memory_bytes, found.disks) == ("a", None, None, ())
    assert found.firmware is Firmware.BIOS


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        ("<memory>1048576</memory>", GIB),
        ("<memory unit='KiB'>1048576</memory>", GIB),
        ("<memory unit='bytes'>1024</memory>", 1024),
        ("<memory unit='GB'>1</memory>", 10**9),
        ("<memory unit='G'> 2 </memory>", 2 * GIB),
        ("<memory>0</memory>", None),
    ],
)
def test_memory_is_read_in_any_unit(memory: str, size: int | None) -> None:
    assert read_domain_xml(minimal(memory)).memory_bytes == size


@pytest.mark.parametrize(
    ("system", "firmware"),
    [
        ("<os firmware='efi'/>", Firmware.UEFI),
        ("<os><loader type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader></os>", Firmware.UEFI),
        ("<os firmware='bios'/>", Firmware.BIOS),
        ("<os><loader type='rom'>/usr/share/seabios/bios.bin</loader></os>", Firmware.BIOS),
        ("", Firmware.BIOS),
    ],
)
def test_firmware_is_recognised(system: str, firmware: Firmware) -> None:
    assert read_domain_xml(minimal(system)).firmware is firmware


def test_each_disk_has_an_id_of_its_own() -> None:
    targets = ["vda", "vda", "disk-2", "", "x" * 1000]
    devices = "".join(f"<disk><source file='/{n}'/><target dev='{t}'/></disk>" for n, t in enumerate(targets))
    disks = read_domain_xml(minimal(devices=devices)).disks
    assert [one.id for one in disks] == ["vda", "disk-2", "disk-3", "disk-4", "disk-5"]
    assert [one.path for one in disks] == ["/0", "/1", "/2", "/3", "/4"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"<domain/>", "no name"),
        (b"<domain><name> </name></domain>", "no name"),
        (b"<Envelope/>", "not a libvirt domain: its root is <Envelope>"),
        (b"<domain", "malformed"),
        (minimal("<vcpu>two</vcpu>"), "CPUs is 'two'"),
        (minimal("<vcpu>99999999</vcpu>"), "too much"),
        (minimal("<memory unit='TiB'>99999999999</memory>"), "too much"),
        (minimal("<memory unit='stone'>1</memory>"), "unit 'stone'"),
    ],
)
def test_what_is_no_domain_is_told(data: bytes, told: str) -> None:
    with pytest.raises(InvalidSourceError, match=told):
        read_domain_xml(data)


# --- another identity ------------------------------------------------------------------------------------


def changed(data: bytes = SOURCE, **wanted: object) -> bytes:
    nothing = {"name": "web & mail", "cpu_count": None, "memory_bytes": None, "description": None, "nics": ()}
    return with_identity(data, **nothing | wanted)  # type: ignore[arg-type]  # the test's own values


@pytest.mark.parametrize("data", [SOURCE, WRITTEN], ids=["source", "written by virt-v2v"])
def test_with_its_own_identity_a_domain_means_the_same(data: bytes) -> None:
    own = changed(data, name=read_domain_xml(data).name, nics=read_domain_xml(data).nics)
    before, after = (canonicalize(text.decode(), rewrite_prefixes=True) for text in (data, own))
    assert before == after


def test_another_identity_is_read_back() -> None:
    nics = read_domain_xml(SOURCE).nics
    wanted = (nics[0], nics[1].model_copy(update={"network": "red", "mac": "52:54:00:00:00:01"}), nics[2])
    found = read_domain_xml(
        changed(name="<b> & 'c'", cpu_count=3, memory_bytes=2 * GIB, description="d & e", nics=wanted)
    )
    assert (found.name, found.description) == ("<b> & 'c'", "d & e")
    assert (found.cpu_count, found.memory_bytes, found.nics) == (3, 2 * GIB, wanted)
    assert found.disks == read_domain_xml(SOURCE).disks


def test_what_libvirt_would_refuse_beside_another_cpu_count_goes() -> None:
    text = changed(cpu_count=3).decode()
    assert "topology" not in text
    assert "current=" not in text
    assert '<cpu mode="host-model"' in text


def test_memory_is_never_rounded_down() -> None:
    text = changed(memory_bytes=2 * GIB + 1).decode()
    assert text.count(">2097153<") == 2
    assert "GiB" not in text


def test_a_nic_on_a_bridge_goes_to_the_network() -> None:
    nics = (SourceNic(id="nic-1", mac=None, network=None), SourceNic(id="nic-2", mac=None, network="red"))
    text = changed(nics=nics).decode()
    assert '<interface type="network"><mac address="52:54:00:12:34:57"' in text
    assert '<source network="red"' in text
    assert "br0" not in text
    assert '<source network="lan" portid="x"' in text


def test_what_is_missing_is_added() -> None:
    data = b"<domain><name>a</name><devices><interface type='user'/></devices></domain>"
    nics = (SourceNic(id="nic-1", mac="52:54:00:00:00:01", network="red"),)
    found = read_domain_xml(
        changed(data, name="b", cpu_count=2, memory_bytes=GIB, description="c", nics=nics)
    )
    assert (found.name, found.cpu_count, found.memory_bytes, found.description) == ("b", 2, GIB, "c")
    assert found.nics == nics


def test_what_virt_v2v_wrote_is_read() -> None:
    found = read_domain_xml(WRITTEN)
    assert (found.name, found.cpu_count, found.memory_bytes) == ("web-1", 2, GIB)
    assert [(one.id, one.bus, one.format) for one in found.disks] == [
        ("vda", "virtio", "qcow2"),
        ("vdb", "virtio", "qcow2"),
    ]
    assert [(nic.mac, nic.network) for nic in found.nics] == [("52:54:00:12:34:56", "lan"), (None, "br0")]
