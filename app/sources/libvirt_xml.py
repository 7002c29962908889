"""A VM described by a libvirt XML file beside its disk images."""

import posixpath
from collections.abc import Collection
from typing import ClassVar, Literal

from pydantic import Field

from app.formats.domain_xml import read_domain_xml
from app.models.common import Shape, SourcePath
from app.models.imports import ImportProperties
from app.models.vm import VmConfig
from app.sources.base import Reached, Site, SourceReading
from app.sources.given import given_as_domain
from app.sources.images import looked_at
from app.sources.properties import for_conversion_alone
from app.v2v.command import V2vInput

LONGEST_XML = 4 * 2**20


class LibvirtXmlSource(Shape):
    """A libvirt domain XML file on the proxy host; relative disk paths are relative to it."""

    kind: Literal["libvirt_xml"]
    path: SourcePath = Field(examples=["/srv/images/web-1.xml"])


class LibvirtXml:
    kind: ClassVar[str] = "libvirt_xml"
    title: ClassVar[str] = "libvirt XML"
    Spec: type[LibvirtXmlSource] = LibvirtXmlSource

    def abilities(self, spec: LibvirtXmlSource) -> frozenset[str]:
        return frozenset({"input:libvirtxml"})

    async def read(
        self, spec: LibvirtXmlSource, site: Site, *, without: Collection[str] = ()
    ) -> SourceReading:
        data = await site.agent.read(spec.path, roots=site.roots, limit_bytes=LONGEST_XML)
        config = read_domain_xml(data)
        directory = posixpath.dirname(spec.path)
        disks = await looked_at(site.agent, config.disks, directory, site.roots, without=without)
        return SourceReading(config=config.model_copy(update={"disks": disks}), work_bytes=0)

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        return for_conversion_alone(properties)

    def input(
        self,
        spec: LibvirtXmlSource,
        config: VmConfig,
        properties: ImportProperties,
        attempt_dir: str,
        reached: Reached | None = None,
    ) -> V2vInput:
        """Not the user's XML but one of ours: virt-v2v opens what was looked at, and nothing else."""
        return given_as_domain(config, properties, attempt_dir)
