"""A VM's disks and NICs, in the order in which its guest and virt-v2v see them."""

from collections.abc import Iterator
from typing import Any, Final

from pyVmomi import vim

from app.children.vsphere.retrieving import Found

device = vim.vm.device
BUSES: Final = (
    (device.VirtualSCSIController, "scsi"),
    (device.VirtualAHCIController, "sata"),
    (device.VirtualIDEController, "ide"),
    (device.VirtualNVMEController, "nvme"),
)
"""In the order in which disks are numbered."""
RAW_DEVICES: Final = (
    device.VirtualDisk.RawDiskMappingVer1BackingInfo,
    device.VirtualDisk.RawDiskVer2BackingInfo,
)
MODES: Final = {
    "persistent": "persistent",
    "nonpersistent": "independent_nonpersistent",
    "independent_persistent": "independent_persistent",
    "independent_nonpersistent": "independent_nonpersistent",
}
MODELS: Final = (
    (device.VirtualVmxnet3, "vmxnet3"),
    (device.VirtualVmxnet2, "vmxnet2"),
    (device.VirtualVmxnet, "vmxnet"),
    (device.VirtualE1000e, "e1000e"),
    (device.VirtualE1000, "e1000"),
    (device.VirtualPCNet32, "vlance"),
    (device.VirtualSriovEthernetCard, "passthrough"),
)
KIB: Final = 1024


def devices(vm: Found, found: list[Found]) -> dict[str, Any]:
    """`found` has the VM's networks."""
    all_devices = vm.get("config").hardware.device
    return {
        "disks": [disk for _, disk in sorted(_disks(vm, all_devices), key=lambda each: each[0])],
        "nics": list(_nics(all_devices, _network_names(found))),
    }


def _disks(vm: Found, all_devices: list[Any]) -> Iterator[tuple[tuple[int, int, int], dict[str, Any]]]:
    """Each with its place among them."""
    controllers = {each.key: each for each in all_devices if isinstance(each, device.VirtualController)}
    used = _used_bytes(vm)
    for disk in all_devices:
        controller = controllers.get(disk.controllerKey)
        if isinstance(disk, device.VirtualDisk):
            rank = _rank(controller)
            number = controller.busNumber if controller is not None else 0
            unit = disk.unitNumber or 0
            bus = BUSES[rank][1] if rank < len(BUSES) else None
            identity = f"{bus}{number}:{unit}" if bus else f"disk{disk.key}"
            yield (rank, number, unit), {"id": identity, "bus": bus, **_disk(disk, controller, used)}


def _rank(controller: Any) -> int:
    return next((rank for rank, (kind, _) in enumerate(BUSES) if isinstance(controller, kind)), len(BUSES))


def _disk(disk: Any, controller: Any, used: dict[int, int]) -> dict[str, Any]:
    backing = disk.backing
    shared_bus = str(getattr(controller, "sharedBus", "noSharing")) != "noSharing"
    return {
        "label": disk.deviceInfo.label if disk.deviceInfo else str(disk.key),
        "capacity_bytes": disk.capacityInBytes or disk.capacityInKB * KIB,
        "used_bytes": used.get(disk.key),
        "format": "vmdk",
        "path": getattr(backing, "fileName", None) or getattr(backing, "deviceName", None),
        "mode": MODES.get(getattr(backing, "diskMode", None) or ""),
        "is_shared": shared_bus or getattr(backing, "sharing", None) == "sharingMultiWriter",
        "is_raw_device": isinstance(backing, RAW_DEVICES),
    }


def _used_bytes(vm: Found) -> dict[int, int]:
    """By the key of the disk: the files of its whole chain."""
    sizes = {file.key: file.size for file in vm.get("layoutEx.file") or []}
    return {
        disk.key: sum(sizes.get(key, 0) for unit in disk.chain for key in unit.fileKey)
        for disk in vm.get("layoutEx.disk") or []
    }


def _nics(all_devices: list[Any], networks: dict[str, str]) -> Iterator[dict[str, Any]]:
    cards = [each for each in all_devices if isinstance(each, device.VirtualEthernetCard)]
    for number, card in enumerate(sorted(cards, key=lambda each: each.key)):
        yield {
            "id": f"ethernet{number}",
            "mac": card.macAddress or None,
            "network": _network(card.backing, networks),
            "model": next((name for kind, name in MODELS if isinstance(card, kind)), None),
        }


def _network_names(found: list[Found]) -> dict[str, str]:
    """By what a NIC's backing has of it: the key of a port group, the id of an opaque network."""
    names = {}
    for each in found:
        summary = each.get("summary")
        key = each.get("key") or getattr(summary, "opaqueNetworkId", None)
        if key:
            names[key] = each.get("name") or key
    return names


def _network(backing: Any, names: dict[str, str]) -> str | None:
    if isinstance(backing, device.VirtualEthernetCard.DistributedVirtualPortBackingInfo):
        key: str = backing.port.portgroupKey or backing.port.portKey or "unknown"
        return names.get(key, key)
    if isinstance(backing, device.VirtualEthernetCard.OpaqueNetworkBackingInfo):
        return names.get(backing.opaqueNetworkId, backing.opaqueNetworkId)
    return getattr(backing, "deviceName", None) or None
