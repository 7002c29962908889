"""XML from outside is refused when it could do harm, and each refusal is a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidSourceError
from app.formats import xml

BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>"""
EXTERNAL = b"""<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>"""


@pytest.mark.parametrize(
    "data", [BOMB, EXTERNAL, b"<!DOCTYPE x><x/>", b'<!DOCTYPE x SYSTEM "http://x/"><x/>']
)
def test_a_document_type_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidSourceError, match="document type or entities"):
        xml.parse(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"text",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"<a>&b;</a>",
        b"\x00",
        b'<?xml encoding="klingon"?><a/>',
    ],
)
def test_what_is_no_xml_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidSourceError, match="malformed"):
        xml.parse(data)


def test_xml_that_is_too_large_is_refused_unread() -> None:
    with pytest.raises(InvalidSourceError, match="bytes"):
        xml.parse(b"<a>" + b" " * xml.LARGEST_BYTES)


def test_xml_that_is_too_deep_is_refused() -> None:
    xml.parse(b"<a>" * xml.DEEPEST + b"</a>" * xml.DEEPEST)
    with pytest.raises(InvalidSourceError, match="nested deeper"):
        xml.parse(b"<a>" * 100_000)


def test_xml_of_too_many_elements_is_refused() -> None:
    with pytest.raises(InvalidSourceError, match="elements"):
        xml.parse(b"<a>" + b"<b/>" * xml.MOST_ELEMENTS + b"</a>")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_other_encodings_are_read(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><name>Müller</name>'
    assert xml.text(xml.parse(text.encode(encoding))) == "Müller"


def test_names_are_found_whatever_their_namespace() -> None:
    root = xml.parse(b'<a xmlns="urn:1" xmlns:p="urn:2"><p:b p:c="1"> x </p:b><!-- no --><?no no?></a>')
    assert (xml.text(root, "b"), xml.attribute(xml.child(root, "b"), "c")) == ("x", "1")
    assert (xml.text(root, "b", "d"), xml.child(None, "b"), xml.attribute(None, "c")) == (None, None, None)


def test_a_section_is_found_by_its_name_or_its_type() -> None:
    own = xml.parse(b"<a><Section/><DiskSection><b>1</b></DiskSection></a>")
    typed = xml.parse(
        b'<a xmlns:i="urn:i"><Section/><Section i:type="ovf:DiskSection_Type"><b>1</b></Section></a>'
    )
    for root in (own, typed):
        assert xml.text(xml.section(root, "DiskSection"), "b") == "1"
        assert xml.section(root, "NetworkSection") is None


@given(st.binary(max_size=300))
def test_garbage_is_refused_and_nothing_else_is_raised(data: bytes) -> None:
    with pytest.raises(InvalidSourceError):
        xml.parse(b"<a>" + data)
