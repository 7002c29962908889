"""What clients see of a source VM, with what the rules find in it."""

from typing import Final

from app.concerns import assess
from app.models.source_vms import ListedVm, SourceVm, SourceVmDisk, SourceVmSummary
from app.models.vm import Concern, ConcernSeverity, VmConfig

OF_ABSENCE: Final = frozenset({"no_disks", "no_nics"})
"""Codes of what is missing: of a VM that wasn't read whole nobody knows."""


def summed_up(vm: ListedVm) -> SourceVmSummary:
    """The VM as a list shows it: concerns as far as they are known, whether it can be imported if that is."""
    concerns = _concerns(vm.config)
    if not vm.is_whole:
        concerns = tuple(concern for concern in concerns if concern.code not in OF_ABSENCE)
    config = vm.config
    return SourceVmSummary(
        id=config.id,
        name=config.name,
        path=vm.path,
        state=config.state,
        cpu_count=config.cpu_count,
        memory_bytes=config.memory_bytes,
        firmware=config.firmware,
        os=config.os,
        disk_count=len(config.disks) if vm.is_whole else vm.disk_count,
        capacity_bytes=config.capacity_bytes if vm.is_whole else vm.capacity_bytes,
        concerns=concerns,
        importable=False if _has_critical(concerns) else True if vm.is_whole else None,
    )


def shown(config: VmConfig, *, path: str | None = None) -> SourceVm:
    """The whole VM."""
    summary = summed_up(ListedVm(config=config, is_whole=True, path=path))
    return SourceVm(
        **dict(summary),
        has_snapshots=config.has_snapshots,
        disks=tuple(
            SourceVmDisk.model_validate(disk.model_dump(include=set(SourceVmDisk.model_fields)))
            for disk in config.disks
        ),
        nics=config.nics,
        guest=config.guest,
    )


def _concerns(config: VmConfig) -> tuple[Concern, ...]:
    return (*config.concerns, *assess(config))


def _has_critical(concerns: tuple[Concern, ...]) -> bool:
    return any(concern.severity is ConcernSeverity.CRITICAL for concern in concerns)
