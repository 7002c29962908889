"""OVAs: each VM of one is imported for itself."""

from typing import ClassVar

from app.sources.base import Site
from app.sources.ova import Ova, OvaSource, vm_ids
from app.sources.scans.base import Findings, Found, read_vm, read_whole


class ScanOva:
    kind: ClassVar[str] = Ova.kind
    Spec: type[OvaSource] = OvaSource

    async def scan(self, spec: OvaSource, site: Site) -> Findings:
        if spec.vm_id is None and len(ids := await vm_ids(spec.path, site)) > 1:
            return Findings(tuple([await _one_of(spec, vm_id, site) for vm_id in ids]))
        return Findings((await read_whole(Ova(), spec, site, path=spec.path),))


async def _one_of(spec: OvaSource, vm_id: str, site: Site) -> Found:
    wanted = spec.model_copy(update={"vm_id": vm_id})
    return await read_vm(Ova(), wanted, site, path=spec.path)
