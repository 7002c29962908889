"""What virt-v2v-inspector writes, as virt-v2v 2.6.0 wrote it for a real guest."""

from pathlib import Path

import pytest

from app.errors import MalformedXmlError
from app.formats.inspection import read_inspection
from app.models.vm import Firmware, Guest

RECORDED = Path(__file__).parents[1] / "data" / "virt-v2v-inspector-2.6.0.xml"


def test_a_recorded_document_is_read() -> None:
    assert read_inspection(RECORDED.read_bytes()) == Guest(
        type="linux",
        distro="debian",
        name="12.15",
        version="12.15",
        architecture="x86_64",
        package_format="deb",
        firmware=Firmware.BIOS,
    )


def test_what_it_did_not_find_is_null() -> None:
    data = RECORDED.read_bytes().replace(b"debian<", b"unknown<").replace(b"'bios'", b"'other'")
    guest = read_inspection(data)
    assert (guest.distro, guest.firmware) == (None, None)


def test_a_document_without_a_system_is_a_guest_without_one() -> None:
    assert read_inspection(b"<v2v-inspection/>").type is None


@pytest.mark.parametrize("data", [b"", b"<domain/>", b"<v2v-inspection>", b"\xff"])
def test_other_documents_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedXmlError):
        read_inspection(data)
