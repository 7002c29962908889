"""Lists all VMs: what can be told of each without its devices."""

from typing import Any, Final

from pyVmomi import vim

from app.children.vsphere.places import ENTITY, Places
from app.children.vsphere.retrieving import Found, Properties, below_root
from app.children.vsphere.session import Session
from app.children.vsphere.words import MIB, firmware, own_name, power_state, standing

PROPERTIES: Final[Properties] = {
    vim.VirtualMachine: (
        "parentVApp",
        "runtime.powerState",
        "runtime.connectionState",
        "summary.config.template",
        "summary.config.numCpu",
        "summary.config.memorySizeMB",
        "summary.config.guestFullName",
        "summary.config.numVirtualDisks",
        "config.firmware",
        "config.version",
        "config.changeTrackingEnabled",
        "snapshot.currentSnapshot",
        *ENTITY,
    ),
    vim.Folder: ENTITY,
    vim.Datacenter: ENTITY,
    vim.VirtualApp: (*ENTITY, "parentFolder"),
}


def listed(session: Session) -> object:
    """None is left out: of one whose properties can't be seen, at least the id is told."""
    found = list(below_root(session, PROPERTIES))
    places = Places(found, session.content.rootFolder)
    vms = [_listed(each, places) for each in found if isinstance(each.reference, vim.VirtualMachine)]
    return {"vms": vms, "round_trips": session.stub.round_trips}


def _listed(vm: Found, places: Places) -> dict[str, Any]:
    return {
        "config": _config(vm),
        "path": places.folder_path(vm),
        "disk_count": vm.get("summary.config.numVirtualDisks"),
    }


def _config(vm: Found) -> dict[str, Any]:
    memory = vm.get("summary.config.memorySizeMB")
    return {
        "id": vm.reference._moId,  # noqa: SLF001  # pyvmomi's only name for it
        "name": own_name(vm),
        "state": power_state(vm.get("runtime.powerState")),
        "cpu_count": vm.get("summary.config.numCpu") or None,
        "memory_bytes": memory * MIB if memory else None,
        "firmware": firmware(vm.get("config.firmware")),
        "os": vm.get("summary.config.guestFullName") or None,
        "hardware_version": vm.get("config.version"),
        "has_snapshots": True if vm.get("snapshot.currentSnapshot") else None,
        **standing(
            connection=vm.get("runtime.connectionState"),
            is_template=bool(vm.get("summary.config.template")),
            tracks_changes=bool(vm.get("config.changeTrackingEnabled")),
        ),
    }
