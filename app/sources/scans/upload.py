"""Uploads: what they turn out to be, under the name of the uploads."""

from typing import ClassVar

from app.sources.base import Site
from app.sources.ova import Ova, vm_ids
from app.sources.scans.base import Findings, read_vm, read_whole
from app.sources.upload import UploadedFiles, UploadSource, behind


class ScanUpload:
    kind: ClassVar[str] = UploadedFiles.kind
    Spec: type[UploadSource] = UploadSource

    async def scan(self, spec: UploadSource, site: Site) -> Findings:
        if len(ids := await _ids(spec, site)) > 1:
            wanted = [spec.model_copy(update={"vm_id": vm_id}) for vm_id in ids]
            return Findings(tuple([await read_vm(UploadedFiles(), one, site, path=None) for one in wanted]))
        return Findings((await read_whole(UploadedFiles(), spec, site, path=None),))


async def _ids(spec: UploadSource, site: Site) -> tuple[str, ...]:
    """The VMs of an OVA; of everything else it is the only one."""
    gathered = await site.agent.gather_uploads(spec.upload_ids)
    _, inner = behind(gathered, spec.vm_id)
    if not isinstance(inner, Ova.Spec) or spec.vm_id is not None:
        return ()
    return await vm_ids(inner.path, Site(site.agent, [gathered.directory]))
