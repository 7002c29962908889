"""The lists of kinds: what a request may name is what there is."""

import pytest
from pydantic import TypeAdapter, ValidationError

from app.destinations import DESTINATIONS, StorageDomainCreate, destination_of
from app.errors import UnsupportedPropertyError
from app.sources import SOURCES, SourceSpec, source_of

domains: TypeAdapter[StorageDomainCreate] = TypeAdapter(StorageDomainCreate)
sources: TypeAdapter[SourceSpec] = TypeAdapter(SourceSpec)


def test_each_kind_is_found_by_its_name() -> None:
    assert [destination_of(kind.kind) for kind in DESTINATIONS] == list(DESTINATIONS)
    assert [source_of(kind.kind) for kind in SOURCES] == list(SOURCES)


def test_each_kind_can_be_asked_for() -> None:
    for schema, kinds in ((domains.json_schema(), DESTINATIONS), (sources.json_schema(), SOURCES)):
        assert set(schema["discriminator"]["mapping"]) == {kind.kind for kind in kinds}


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UnsupportedPropertyError):
        destination_of("tape")
    with pytest.raises(UnsupportedPropertyError):
        source_of("tape")
    with pytest.raises(ValidationError):
        sources.validate_python({"kind": "tape", "path": "/x"})
