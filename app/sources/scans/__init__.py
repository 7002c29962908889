"""The kinds of sources that can be looked into. A new kind is one file and one name here."""

from typing import Annotated, Any

from pydantic import Field

from app.errors import UnsupportedPropertyError
from app.sources.disk import DiskSource
from app.sources.libvirt_xml import LibvirtXmlSource
from app.sources.ova import OvaSource
from app.sources.provider_vm import ProviderVmSource
from app.sources.scans.base import Scanner
from app.sources.scans.export_domain import ExportDomainScan, ScanExportDomain
from app.sources.scans.folder import FolderScan, ScanFolder
from app.sources.scans.one_vm import ScanDisk, ScanLibvirtXml, ScanVmx
from app.sources.scans.ova import ScanOva
from app.sources.scans.provider_vm import ScanProviderVm
from app.sources.scans.upload import ScanUpload
from app.sources.upload import UploadSource
from app.sources.vmx import VmxSource

SCANNERS: tuple[Scanner[Any], ...] = (
    ScanDisk(),
    ScanExportDomain(),
    ScanFolder(),
    ScanLibvirtXml(),
    ScanOva(),
    ScanProviderVm(),
    ScanUpload(),
    ScanVmx(),
)

ScanSource = Annotated[
    DiskSource
    | ExportDomainScan
    | FolderScan
    | LibvirtXmlSource
    | OvaSource
    | ProviderVmSource
    | UploadSource
    | VmxSource,
    Field(discriminator="kind"),
]


def scanner_of(kind: str) -> Scanner[Any]:
    """Raises UnsupportedPropertyError when there is no such kind."""
    for scanner in SCANNERS:
        if scanner.kind == kind:
            return scanner
    raise UnsupportedPropertyError(f"A source of kind {kind!r} can't be scanned.")
