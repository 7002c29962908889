"""A VM that is one disk image and nothing else."""

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import ClassVar, Literal

from pydantic import Field

from app.models.common import Shape, SourcePath
from app.models.imports import ImportProperties
from app.models.vm import SourceDisk, SourceNic, VmConfig
from app.sources.base import Reached, Site, SourceReading
from app.sources.properties import for_conversion_alone, left_out
from app.v2v.command import V2vInput

CPU_COUNT = 1
MEMORY_BYTES = 2 * 2**30
NETWORK = "default"
"""What virt-v2v takes for granted of a disk that comes without metadata (virt-v2v(1), `-i disk`)."""


class DiskSource(Shape):
    """One disk image on the proxy host. The VM is named after the file unless `vm.name` says otherwise."""

    kind: Literal["disk"]
    path: SourcePath = Field(examples=["/srv/images/web-1.qcow2"])


class Disk:
    kind: ClassVar[str] = "disk"
    title: ClassVar[str] = "Disk image"
    Spec: type[DiskSource] = DiskSource

    def abilities(self, spec: DiskSource) -> frozenset[str]:
        return frozenset({"input:disk"})

    async def read(self, spec: DiskSource, site: Site, *, without: Collection[str] = ()) -> SourceReading:
        image = await site.agent.image_info(spec.path, roots=site.roots)
        name = PurePosixPath(spec.path).stem
        disk = SourceDisk(
            id="disk-1",
            label=PurePosixPath(spec.path).name,
            capacity_bytes=image.virtual_bytes,
            used_bytes=image.actual_bytes + image.chain_bytes,
            format=image.format,
            path=image.path,
            chain=image.chain,
        )
        config = VmConfig(
            id=name,
            name=name,
            cpu_count=CPU_COUNT,
            memory_bytes=MEMORY_BYTES,
            disks=(disk,),
            nics=(SourceNic(id="nic-1", mac=None, network=NETWORK),),
        )
        return SourceReading(config=config, work_bytes=0)

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        return for_conversion_alone(properties) + left_out(properties, "The VM has only this disk.")

    def input(
        self,
        spec: DiskSource,
        config: VmConfig,
        properties: ImportProperties,
        attempt_dir: str,
        reached: Reached | None = None,
    ) -> V2vInput:
        """The format is pinned: a guest can write into its raw disk what a probe takes for qcow2."""
        (disk,) = config.disks
        return V2vInput(
            argv=("-i", "disk", disk.path or spec.path, "-if", disk.format or "raw"), disks=(disk,)
        )
