"""Examines an import on its proxy host: what the VM is, whether it fits, what it needs."""

from dataclasses import dataclass

from app.actions.nics import check_macs, mapped
from app.concerns import assess
from app.errors import (
    AppError,
    ConcernsNotAcceptedError,
    DomainUnusableError,
    FieldError,
    NoRoomError,
    UnknownReferenceError,
    UnsupportedPropertyError,
)
from app.models.common import Shape
from app.models.imports import Allocation, ImportProperties, VmProperties
from app.models.proxy_hosts import ProxyHost
from app.models.storage_domains import DomainHostStatus, StorageDomain
from app.models.vm import Concern, ConcernSeverity, SourceDisk, VmConfig
from app.providers.base import SourceProvider
from app.proxy.agent_client import HostAgent
from app.proxy.mounts import Mount
from app.services import storage_domains
from app.services.placement import work_bytes_at_least
from app.services.specs import VmImportCreate
from app.sources import mounted, source_of
from app.sources.base import Site
from app.sources.properties import excluded, included


@dataclass(frozen=True)
class Examination:
    """What was found: the VM as it is (`source`) and as it is to be (`config`), and the bytes it needs."""

    source: VmConfig
    config: VmConfig
    spec: VmImportCreate
    """The request, with the source that turned out to stand behind the one that was named."""
    roots: tuple[str, ...]
    """The directories that this one may read."""
    mounts: tuple[Mount, ...]
    """What has to be mounted for it."""
    concerns: tuple[Concern, ...]
    work_bytes: int
    work_free_bytes: int
    target_bytes: int
    domain: DomainHostStatus
    unsupported: tuple[FieldError, ...] = ()
    """What the storage domain can't honour: it may have been chosen after the request was checked."""


async def examine(
    spec: VmImportCreate,
    host: ProxyHost,
    domain: StorageDomain,
    agent: HostAgent,
    provider: SourceProvider | None = None,
) -> Examination:
    """Look at the source and at the storage domain through the proxy host; changes nothing.

    `provider` is the one that the source names.

    Raises ImportFailureError subclasses for the source, UnknownReferenceError for a disk or NIC that the VM
    doesn't have, HostError.
    """
    source = source_of(spec.source.kind)
    site = Site(agent, host.source_roots, provider, host.status.virt_v2v)
    reading = await mounted.read(source, spec.source, site, without=excluded(spec))
    _check_disks(spec, reading.config)
    check_macs(reading.config.nics, spec.nics)
    destination, settings = storage_domains.opened(domain)
    config = with_properties(reading.config, spec)
    return Examination(
        source=reading.config,
        config=config,
        spec=with_source(spec, reading.source),
        roots=tuple(host.source_roots) if reading.roots is None else reading.roots,
        mounts=reading.mounts,
        concerns=(*reading.config.concerns, *assess(config)),
        work_bytes=work_bytes_at_least(is_copy=spec.conversion.is_copy) + reading.work_bytes,
        work_free_bytes=host.status.free_bytes or 0,
        target_bytes=sum(_needed_bytes(disk, spec) for disk in config.disks) if destination.keeps else 0,
        domain=await destination.check(settings, agent, host.id),
        unsupported=tuple(
            FieldError(pointer=pointer, code=UnsupportedPropertyError.code, detail=detail)
            for pointer, detail in destination.unsupported(spec)
        ),
    )


def with_source(spec: VmImportCreate, source: Shape | None) -> VmImportCreate:
    return spec if source is None else spec.model_copy(update={"source": source})


def refusals(
    found: Examination, spec: VmImportCreate, *, others_work: int, others_target: int
) -> list[AppError]:
    """Why the import can't be done as it was asked for; bytes that others hold count as taken."""
    refused: list[AppError] = []
    if found.unsupported:
        refused.append(UnsupportedPropertyError(found.unsupported[0].detail, errors=found.unsupported))
    if not found.domain.usable:
        problem = found.domain.problem
        refused.append(DomainUnusableError(problem.detail if problem else None))
    critical = {
        concern.code: concern.message
        for concern in found.concerns
        if concern.severity is ConcernSeverity.CRITICAL and concern.code not in spec.accept_concerns
    }
    if critical:
        told = "; ".join(f"{code}: {message}" for code, message in critical.items())
        refused.append(ConcernsNotAcceptedError(told))
    refused += _no_room("work directory", found.work_bytes, found.work_free_bytes - others_work)
    if found.domain.free_bytes is not None:
        refused += _no_room("storage domain", found.target_bytes, found.domain.free_bytes - others_target)
    return refused


def _no_room(where: str, needed: int, free: int) -> list[AppError]:
    if needed <= free:
        return []
    return [NoRoomError(f"The {where} has {max(free, 0)} bytes free, {needed} are needed.")]


def with_properties(source: VmConfig, wanted: ImportProperties) -> VmConfig:
    """The VM as it is to be: what the request sets, and else as it is at the source."""
    buses = {disk.source_disk_id: disk.bus for disk in wanted.disks if disk.bus}
    disks = tuple(
        disk.model_copy(update={"bus": buses.get(disk.id, disk.bus)})
        for disk in included(source.disks, wanted)
    )
    return with_identity(source, wanted.vm).model_copy(
        update={"disks": disks, "nics": mapped(source.nics, wanted.nics)}
    )


def with_identity(config: VmConfig, wanted: VmProperties) -> VmConfig:
    """The VM with the name, size, OS and description that the request sets."""
    given = {name: value for name, value in wanted.model_dump().items() if value is not None}
    return config.model_copy(update=given)


def _check_disks(spec: VmImportCreate, config: VmConfig) -> None:
    known = {disk.id for disk in config.disks}
    faults = tuple(
        FieldError(
            pointer=f"/disks/{number}/source_disk_id",
            code="unknown_reference",
            detail=f"The VM has no disk {wanted.source_disk_id!r}; it has {', '.join(sorted(known))}.",
        )
        for number, wanted in enumerate(spec.disks)
        if wanted.source_disk_id not in known
    )
    if faults:
        raise UnknownReferenceError(faults[0].detail, errors=faults)


def _needed_bytes(disk: SourceDisk, spec: VmImportCreate) -> int:
    # A sparse disk of unknown use is taken for empty: refusing what might fit would be worse.
    preallocated = allocation_of(disk, spec) is Allocation.PREALLOCATED
    return (disk.capacity_bytes if preallocated else disk.used_bytes) or 0


def allocation_of(disk: SourceDisk, spec: VmImportCreate) -> Allocation:
    """The allocation that the request names for the disk, or its default."""
    own = next((wanted.allocation for wanted in spec.disks if wanted.source_disk_id == disk.id), None)
    return own or spec.disk_defaults.allocation
