"""VMs of KVM hosts: those of the service's own machine, whose disks the proxy host reads where they lie."""

from collections.abc import Collection
from typing import ClassVar

from app.errors import InvalidSourceError
from app.models.common import Shape
from app.models.imports import ImportProperties
from app.models.vm import VmConfig
from app.providers.base import SourceProvider
from app.providers.urls import ProviderUrl, Reach
from app.sources.base import Reached, Site, SourceReading
from app.sources.given import given_as_domain
from app.sources.images import looked_at
from app.v2v.command import V2vInput


class KvmVms:
    kind: ClassVar[str] = "kvm"

    def abilities(self, url: ProviderUrl, options: Shape) -> frozenset[str]:
        return frozenset({"input:libvirtxml"})

    def unsupported(
        self, url: ProviderUrl, options: Shape, properties: ImportProperties
    ) -> list[tuple[str, str]]:
        if url.reach is Reach.LOCAL:
            return []
        return [("/source/provider_id", f"VMs behind `{url.scheme}` can be listed, but not imported.")]

    async def read(
        self, vm_id: str, site: Site, provider: SourceProvider, *, without: Collection[str]
    ) -> SourceReading:
        config = await provider.vm(vm_id)
        if any(disk.path is not None and not disk.path.startswith("/") for disk in config.disks):
            raise InvalidSourceError("A disk of the VM has no absolute path.")
        disks = await looked_at(site.agent, config.disks, "/", site.roots, without=without)
        return SourceReading(config=config.model_copy(update={"disks": disks}), work_bytes=0)

    def input(
        self, vm_id: str, config: VmConfig, properties: ImportProperties, attempt_dir: str, reached: Reached
    ) -> V2vInput:
        return given_as_domain(config, properties, attempt_dir)
