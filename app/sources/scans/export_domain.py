"""oVirt's export domains and detached data domains: every VM that is described there."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from app.models.common import Shape, SourcePath
from app.sources.base import Site, SourceReading
from app.sources.export_domain import ExportDomain, ExportDomainSource, ListedVm, list_vms
from app.sources.scans.base import Findings, Found


class ExportDomainScan(Shape):
    """All VMs on an oVirt export domain, or on a data domain that no engine uses any more."""

    kind: Literal["export_domain"]
    path: SourcePath = Field(examples=["/srv/export/0b0ac0ea-6f4d-4a5f-a1d4-1b4a3f6d1c55"])


class ScanExportDomain:
    kind: ClassVar[str] = ExportDomain.kind
    Spec: type[ExportDomainScan] = ExportDomainScan

    async def scan(self, spec: ExportDomainScan, site: Site) -> Findings:
        return Findings(
            tuple(_found(spec.path, vm) for vm in await list_vms(spec.path, site.agent, site.roots))
        )


def _found(path: str, vm: ListedVm) -> Found:
    source = ExportDomainSource(kind="export_domain", path=path, vm_id=UUID(vm.vm_id))
    reading = None if vm.config is None else SourceReading(config=vm.config, work_bytes=0)
    return Found(path, source, reading, vm.problem)
