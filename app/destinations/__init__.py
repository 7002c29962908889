"""The kinds of destinations. A new kind is one file and one name here."""

from typing import Annotated, Any

from pydantic import Field

from app.destinations.base import Destination
from app.destinations.directory import Directory, DirectoryDomainCreate
from app.destinations.null import Null, NullDomainCreate
from app.destinations.ovirt_data import OvirtData, OvirtDataDomainCreate
from app.errors import UnsupportedPropertyError

DESTINATIONS: tuple[Destination[Any], ...] = (
    Directory(),
    OvirtData(),
    Null(),
)

StorageDomainCreate = Annotated[
    DirectoryDomainCreate | OvirtDataDomainCreate | NullDomainCreate,
    Field(discriminator="kind"),
]


def destination_of(kind: str) -> Destination[Any]:
    """Raises UnsupportedPropertyError when there is no such kind."""
    for destination in DESTINATIONS:
        if destination.kind == kind:
            return destination
    raise UnsupportedPropertyError(f"There is no destination kind {kind!r}.")
