"""XML from outside: no DTD, no entities, bounded in every direction; names without their namespaces."""

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from app.errors import MalformedXmlError

LARGEST_BYTES: Final = 8 * 2**20
DEEPEST: Final = 100
MOST_ELEMENTS: Final = 100_000
"""Elements take many times the memory of their text."""


class _BoundedTree(TreeBuilder):
    """Builds a tree that is neither deeper than DEEPEST nor has more than MOST_ELEMENTS."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._elements = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        self._depth += 1
        self._elements += 1
        if self._depth > DEEPEST:
            raise MalformedXmlError(f"The XML is nested deeper than {DEEPEST} levels.")
        if self._elements > MOST_ELEMENTS:
            raise MalformedXmlError(f"The XML has more than {MOST_ELEMENTS} elements.")
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return super().end(tag)


def parse(data: bytes) -> Element:
    """The root element. Raises MalformedXmlError for what isn't well-formed, or isn't harmless."""
    if len(data) > LARGEST_BYTES:
        raise MalformedXmlError(f"The XML has {len(data)} bytes; {LARGEST_BYTES} are the most.")
    parser = DefusedXMLParser(target=_BoundedTree(), forbid_dtd=True)
    try:
        parser.feed(data)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise MalformedXmlError("The XML has a document type or entities; neither is accepted.") from error
    except (ParseError, ValueError, LookupError) as error:
        raise MalformedXmlError(f"The XML is malformed: {error}.") from error
    return root


def local(name: str) -> str:
    """A tag's or attribute's name without its namespace."""
    return name.rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """The direct children of that name, whatever their namespace."""
    return (child for child in element if local(child.tag) == name)


def child(element: Element | None, *path: str) -> Element | None:
    """The first child of that name, and so on down the path."""
    for name in path:
        if element is None:
            return None
        element = next(children(element, name), None)
    return element


def text(element: Element | None, *path: str) -> str | None:
    """The text at the path, trimmed; None when there is none."""
    found = child(element, *path)
    return ((found.text or "").strip() or None) if found is not None else None


def attribute(element: Element | None, name: str) -> str | None:
    """The attribute of that name, whatever its namespace."""
    if element is None:
        return None
    return next((value for key, value in element.attrib.items() if local(key) == name), None)


def section(element: Element, name: str) -> Element | None:
    """The section of that name: an element of its own, or (OVF 0.9, oVirt) a `Section` of that type."""
    own = child(element, name)
    typed = (found for found in children(element, "Section") if _is_of_type(found, name))
    return own if own is not None else next(typed, None)


def _is_of_type(element: Element, name: str) -> bool:
    return (attribute(element, "type") or "").rpartition(":")[2] == f"{name}_Type"
