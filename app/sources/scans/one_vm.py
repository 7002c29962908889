"""Sources that are one VM: a libvirt XML, a VMX, a disk image."""

from typing import Any, ClassVar

from app.models.common import Shape
from app.sources.base import Site, Source
from app.sources.disk import Disk, DiskSource
from app.sources.libvirt_xml import LibvirtXml, LibvirtXmlSource
from app.sources.scans.base import Findings, read_whole
from app.sources.vmx import Vmx, VmxSource


class ScanDisk:
    kind: ClassVar[str] = Disk.kind
    Spec: type[DiskSource] = DiskSource

    async def scan(self, spec: DiskSource, site: Site) -> Findings:
        return await _only(Disk(), spec, spec.path, site)


class ScanLibvirtXml:
    kind: ClassVar[str] = LibvirtXml.kind
    Spec: type[LibvirtXmlSource] = LibvirtXmlSource

    async def scan(self, spec: LibvirtXmlSource, site: Site) -> Findings:
        return await _only(LibvirtXml(), spec, spec.path, site)


class ScanVmx:
    kind: ClassVar[str] = Vmx.kind
    Spec: type[VmxSource] = VmxSource

    async def scan(self, spec: VmxSource, site: Site) -> Findings:
        return await _only(Vmx(), spec, spec.path, site)


async def _only(source: Source[Any], spec: Shape, path: str, site: Site) -> Findings:
    return Findings((await read_whole(source, spec, site, path=path),))
