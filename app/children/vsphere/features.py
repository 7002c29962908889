"""What a VM is set to beyond its CPUs, memory, disks and NICs."""

from collections.abc import Iterator
from typing import Any, Final

from pyVmomi import vim

device = vim.vm.device
PASSED_THROUGH: Final = (device.VirtualPCIPassthrough, device.VirtualSCSIPassthrough)
UNLIMITED: Final = -1


def features(config: Any, runtime: Any) -> dict[str, Any]:
    """Fields of `VmConfig`."""
    devices = config.hardware.device
    affinity = config.cpuAffinity
    return {
        "hardware_version": config.version,
        "secure_boot": bool(config.bootOptions and config.bootOptions.efiSecureBootEnabled),
        "has_tpm": any(isinstance(each, device.VirtualTPM) for each in devices),
        "is_encrypted": _is_encrypted(config, runtime),
        "cpu_hot_add": bool(config.cpuHotAddEnabled),
        "memory_hot_add": bool(config.memoryHotAddEnabled),
        "nested_virtualization": bool(config.nestedHVEnabled),
        "has_cpu_affinity": bool(affinity and affinity.affinitySet),
        "passthrough_devices": [_label(each) for each in devices if isinstance(each, PASSED_THROUGH)],
        "usb_devices": [_label(each) for each in devices if isinstance(each, device.VirtualUSB)],
        "settings": dict(_settings(config, runtime)),
    }


def _is_encrypted(config: Any, runtime: Any) -> bool:
    disks = [each for each in config.hardware.device if isinstance(each, device.VirtualDisk)]
    has_key = any(getattr(disk.backing, "keyId", None) for disk in disks)
    return has_key or config.keyId is not None or bool(runtime and runtime.cryptoState)


def _label(each: Any) -> str:
    return each.deviceInfo.label if each.deviceInfo else f"device {each.key}"


def _settings(config: Any, runtime: Any) -> Iterator[tuple[str, str]]:
    """By the names that the rules know."""
    extra = {each.key.lower(): str(each.value) for each in config.extraConfig}
    flags, latency, manager = config.flags, config.latencySensitivity, config.managedBy
    found = {
        "consolidation_needed": runtime and runtime.consolidationNeeded,
        "fault_tolerance": runtime and str(runtime.faultToleranceState) not in {"None", "notConfigured"},
        "high_availability": runtime and runtime.dasVmProtection and runtime.dasVmProtection.dasProtected,
        "numa": any(key.startswith(("numa.nodeaffinity", "numa.vcpu", "numa.autosize")) for key in extra),
        "disk_uuid": extra.get("disk.enableuuid", "").lower() == "true",
        "virtualization_based_security": flags and flags.vbsEnabled,
        "latency_sensitivity": latency and str(latency.level) == "high",
        "resource_limits": any(map(_is_limited, (config.cpuAllocation, config.memoryAllocation))),
        "npiv": bool(config.npivNodeWorldWideName or config.npivPortWorldWideName),
        "cpu_mask": bool(config.cpuFeatureMask),
        "change_tracking": config.changeTrackingEnabled,
        "replication": config.repConfig,
        "serial_console": _has(config, device.VirtualSerialPort),
        "parallel_port": _has(config, device.VirtualParallelPort),
    }
    yield from ((name, "true") for name, is_set in found.items() if is_set)
    texts = {
        "managed_by": manager and manager.extensionKey,
        "sound": _names(config, device.VirtualSoundCard),
        "io_filters": ", ".join(sorted(set(_filters(config)))),
        "unplugged_nics": ", ".join(_unplugged(config)),
        "distributed_nics": ", ".join(_distributed(config)),
    }
    yield from ((name, text) for name, text in texts.items() if text)


def _is_limited(allocation: Any) -> bool:
    return allocation is not None and (
        (allocation.reservation or 0) > 0 or (allocation.limit or UNLIMITED) != UNLIMITED
    )


def _has(config: Any, kind: type) -> bool:
    return any(isinstance(each, kind) for each in config.hardware.device)


def _names(config: Any, kind: type) -> str:
    return ", ".join(_label(each) for each in config.hardware.device if isinstance(each, kind))


def _filters(config: Any) -> Iterator[str]:
    for each in config.hardware.device:
        if isinstance(each, device.VirtualDisk):
            yield from each.iofilter


def _unplugged(config: Any) -> Iterator[str]:
    for each in config.hardware.device:
        plug = each.connectable
        if isinstance(each, device.VirtualEthernetCard) and plug is not None and not plug.startConnected:
            yield each.macAddress or _label(each)


def _distributed(config: Any) -> Iterator[str]:
    kind = device.VirtualEthernetCard.DistributedVirtualPortBackingInfo
    for each in config.hardware.device:
        if isinstance(each, device.VirtualEthernetCard) and isinstance(each.backing, kind):
            yield each.macAddress or _label(each)
