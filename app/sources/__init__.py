"""The kinds of sources. A new kind is one file and one name here."""

from typing import Annotated, Any

from pydantic import Field

from app.errors import UnsupportedPropertyError
from app.sources.base import Source
from app.sources.disk import Disk, DiskSource
from app.sources.export_domain import ExportDomain, ExportDomainSource
from app.sources.libvirt_xml import LibvirtXml, LibvirtXmlSource
from app.sources.ova import Ova, OvaSource
from app.sources.provider_vm import ProviderVm, ProviderVmSource
from app.sources.upload import UploadedFiles, UploadSource
from app.sources.vmx import Vmx, VmxSource

SOURCES: tuple[Source[Any], ...] = (
    Disk(),
    ExportDomain(),
    LibvirtXml(),
    Ova(),
    ProviderVm(),
    UploadedFiles(),
    Vmx(),
)

SourceSpec = Annotated[
    DiskSource
    | ExportDomainSource
    | LibvirtXmlSource
    | OvaSource
    | ProviderVmSource
    | UploadSource
    | VmxSource,
    Field(discriminator="kind"),
]


def source_of(kind: str) -> Source[Any]:
    """Raises UnsupportedPropertyError when there is no such kind."""
    for source in SOURCES:
        if source.kind == kind:
            return source
    raise UnsupportedPropertyError(f"There is no source kind {kind!r}.")
