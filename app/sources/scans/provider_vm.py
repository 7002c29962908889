"""VMs of providers: each is asked for by its id; a provider's list has them all."""

from typing import ClassVar

from app.sources.base import Site
from app.sources.provider_vm import ProviderVm, ProviderVmSource
from app.sources.scans.base import Findings, read_whole


class ScanProviderVm:
    kind: ClassVar[str] = ProviderVm.kind
    Spec: type[ProviderVmSource] = ProviderVmSource

    async def scan(self, spec: ProviderVmSource, site: Site) -> Findings:
        return Findings((await read_whole(ProviderVm(), spec, site, path=None),))
