"""Reads one VM whole, and finds out how virt-v2v gets to it."""

import ssl
from typing import Any, Final

from pyVmomi import vim

from app.children.answering import ChildError, Code
from app.children.vsphere.devices import devices
from app.children.vsphere.features import features
from app.children.vsphere.places import ENTITY, Places
from app.children.vsphere.retrieving import Found, Properties, around
from app.children.vsphere.session import Session
from app.children.vsphere.tls import thumbprint, vouches_for_itself
from app.children.vsphere.words import MIB, firmware, own_name, power_state, standing

PROPERTIES: Final[Properties] = {
    vim.VirtualMachine: (
        "config",
        "runtime",
        "runtime.host",
        "parentVApp",
        "snapshot.rootSnapshotList",
        "layoutEx.disk",
        "layoutEx.file",
    ),
    vim.ManagedEntity: ENTITY,
    vim.VirtualApp: ("parentFolder",),
    vim.dvs.DistributedVirtualPortgroup: ("key",),
    vim.OpaqueNetwork: ("summary",),
}


def machine(session: Session, vm_id: str) -> object:
    """Raises ChildError where there is no such VM."""
    reference = vim.VirtualMachine(vm_id, session.stub)
    found = list(around(session, reference, PROPERTIES))
    vm = next((each for each in found if each.reference == reference), None)
    if vm is None:
        raise ChildError(Code.VM_NOT_FOUND, f"The server has no VM {vm_id!r}.")
    places = Places(found, session.content.rootFolder)
    origin = _origin(session, vm, places)
    return {"config": {**_config(vm, found), "origin": origin}, "path": places.folder_path(vm)}


def _config(vm: Found, found: list[Found]) -> dict[str, Any]:
    config, runtime = vm.get("config"), vm.get("runtime")
    known = {
        "id": vm.reference._moId,  # noqa: SLF001  # pyvmomi's only name for it
        "name": own_name(vm),
        "state": power_state(runtime and runtime.powerState),
        "has_snapshots": bool(vm.get("snapshot.rootSnapshotList")),
    }
    stands = standing(
        connection=runtime and runtime.connectionState,
        is_template=bool(config and config.template),
        tracks_changes=bool(config and config.changeTrackingEnabled),
    )
    if config is None:
        why = stands["unreadable"] or "The server tells no configuration of the VM: its user may not see it."
        return {**known, **stands, "unreadable": why}
    told = features(config, runtime)
    return {
        **known,
        "cpu_count": config.hardware.numCPU,
        "memory_bytes": config.hardware.memoryMB * MIB,
        "firmware": firmware(config.firmware),
        "os": config.guestFullName or None,
        "description": config.annotation or None,
        **devices(vm, found),
        **told,
        "unreadable": stands["unreadable"],
        "settings": {**told["settings"], **stands["settings"]},
    }


def _origin(session: Session, vm: Found, places: Places) -> dict[str, str]:
    """What leads virt-v2v to the VM: libvirt's path, its id there, its file; and the server's certificate."""
    config = vm.get("config")
    path = places.host_path(vm)
    peer, certificate = session.connector.peer, session.connector.certificate
    known = {
        "api": "vcenter" if session.is_vcenter else "esxi",
        "path": "\n".join(path) if path else None,
        "name": vm.get("name"),
        "uuid": config.uuid if config is not None and _is_alone(session, config.uuid) else None,
        "vmx": config.files.vmPathName if config is not None else None,
        "certificate_pem": ssl.DER_cert_to_PEM_cert(certificate),
        "thumbprint_sha1": thumbprint(certificate, "sha1"),
        "vouches_for_itself": "true" if vouches_for_itself(peer, certificate) else None,
    }
    return {name: value for name, value in known.items() if value}


def _is_alone(session: Session, uuid: str) -> bool:
    """Copies of a VM may have its UUID; then it doesn't say which one is meant."""
    index = session.content.searchIndex
    return len(index.FindAllByUuid(uuid=uuid, vmSearch=True, instanceUuid=False)) == 1
