"""A VM of oVirt on an export domain, or on a detached data domain."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from app.errors import AppError, HostError, SourceNotFoundError
from app.formats.ovirt_ovf import read_ovirt_ovf
from app.models.common import Shape, SourcePath
from app.models.imports import ImportProperties
from app.models.vm import VmConfig
from app.proxy.agent_client import HostAgent
from app.sources.base import Reached, Site, SourceReading
from app.sources.given import given_as_domain
from app.sources.images import check_number
from app.sources.ovirt_domain import OvirtDomain, open_domain, read_description, vm_ids, with_volumes
from app.sources.properties import for_conversion_alone
from app.v2v.command import V2vInput

TOLD_AT_MOST = 20
"""So many VMs are named where the one that was asked for isn't there."""


class ExportDomainSource(Shape):
    """A VM on an oVirt export domain, or on a data domain that no engine uses any more.

    `path` is the directory that holds `dom_md` and `images`, as the proxy host sees it. The VM is copied
    unless `conversion.mode` says `convert`.
    """

    kind: Literal["export_domain"]
    path: SourcePath = Field(examples=["/srv/export/0b0ac0ea-6f4d-4a5f-a1d4-1b4a3f6d1c55"])
    vm_id: Annotated[UUID, Field(examples=["5f1c0b7e-3f0f-4f0e-9d2e-6d2f1f0f7a11"])]
    """The VM's id in oVirt."""


class ExportDomain:
    kind: ClassVar[str] = "export_domain"
    title: ClassVar[str] = "oVirt export or data domain"
    Spec: type[ExportDomainSource] = ExportDomainSource

    def abilities(self, spec: ExportDomainSource) -> frozenset[str]:
        return frozenset({"input:libvirtxml"})

    async def read(
        self, spec: ExportDomainSource, site: Site, *, without: Collection[str] = ()
    ) -> SourceReading:
        domain = await open_domain(spec.path, site.agent, site.roots)
        config = await _read(domain, str(spec.vm_id), site.agent, without)
        return SourceReading(config=config, work_bytes=0)

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        return for_conversion_alone(properties)

    def input(
        self,
        spec: ExportDomainSource,
        config: VmConfig,
        properties: ImportProperties,
        attempt_dir: str,
        reached: Reached | None = None,
    ) -> V2vInput:
        return given_as_domain(config, properties, attempt_dir)


@dataclass(frozen=True)
class ListedVm:
    """A VM that a domain describes; without a config it can't be imported, for that reason."""

    vm_id: str
    config: VmConfig | None
    problem: AppError | None = None


async def list_vms(path: str, agent: HostAgent, roots: Sequence[str]) -> tuple[ListedVm, ...]:
    """All VMs that the domain describes; one that can't be imported is told with the reason.

    Raises SourceNotAllowedError, SourceNotFoundError, SourceUnreadableError, InvalidSourceError, HostError.
    """
    domain = await open_domain(path, agent, roots)
    return tuple([await _listed(domain, vm_id, agent) for vm_id in await vm_ids(domain, agent)])


async def _listed(domain: OvirtDomain, vm_id: str, agent: HostAgent) -> ListedVm:
    try:
        return ListedVm(vm_id, await _read(domain, vm_id, agent, ()))
    except HostError:
        raise
    except AppError as error:
        return ListedVm(vm_id, None, error)


async def _read(domain: OvirtDomain, vm_id: str, agent: HostAgent, without: Collection[str]) -> VmConfig:
    config = read_ovirt_ovf(await _description(domain, vm_id, agent))
    check_number(config.disks)
    disks = await with_volumes(domain, config.disks, agent, without=without)
    settings = {**config.settings, **({"attached_domain": "true"} if domain.is_attached else {})}
    return config.model_copy(update={"id": vm_id, "disks": disks, "settings": settings})


async def _description(domain: OvirtDomain, vm_id: str, agent: HostAgent) -> bytes:
    try:
        return await read_description(domain, vm_id, agent)
    except SourceNotFoundError as error:
        known = await vm_ids(domain, agent)
        told = ", ".join(known[:TOLD_AT_MOST]) or "none"
        more = f" and {len(known) - TOLD_AT_MOST} more" if len(known) > TOLD_AT_MOST else ""
        raise SourceNotFoundError(f"The domain describes no VM {vm_id}; its VMs are {told}{more}.") from error
