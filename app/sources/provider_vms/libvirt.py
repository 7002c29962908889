"""VMs that libvirt knows: their disks are read where they lie, by SSH if that isn't the proxy host itself."""

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
from app.sources.provider_vms.remote_disks import OVERLAY_BYTES, given_from_there, looked_at_there
from app.v2v.command import V2vInput


class LibvirtVms:
    """Its subclasses say of which hypervisor."""

    hypervisor: ClassVar[str]
    """In libvirt's words: what virt-v2v takes out of the guest depends on it."""

    def abilities(self, url: ProviderUrl, options: Shape) -> frozenset[str]:
        return frozenset({"input:libvirtxml"})

    def unsupported(
        self, url: ProviderUrl, options: Shape, properties: ImportProperties
    ) -> list[tuple[str, str]]:
        return []

    async def read(
        self, vm_id: str, site: Site, provider: SourceProvider, *, without: Collection[str]
    ) -> SourceReading:
        config = await provider.vm(vm_id)
        if any(disk.path is not None and not disk.path.startswith("/") for disk in config.disks):
            raise InvalidSourceError("A disk of the VM has no absolute path.")
        if provider.access.url.reach is Reach.LOCAL:
            disks = await looked_at(site.agent, config.disks, "/", site.roots, without=without)
            return SourceReading(config=config.model_copy(update={"disks": disks}), work_bytes=0)
        disks = await looked_at_there(site.agent, provider.access, config.disks, without=without)
        found = config.model_copy(update={"disks": disks})
        return SourceReading(config=found, work_bytes=OVERLAY_BYTES * len(disks))

    def input(
        self, vm_id: str, config: VmConfig, properties: ImportProperties, attempt_dir: str, reached: Reached
    ) -> V2vInput:
        if reached.access.url.reach is Reach.LOCAL:
            return given_as_domain(config, properties, attempt_dir, hypervisor=self.hypervisor)
        return given_from_there(config, properties, attempt_dir, reached.access, hypervisor=self.hypervisor)
