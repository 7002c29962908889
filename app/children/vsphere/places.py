"""Where an object is in the inventory, from the names and parents of those around it."""

from collections.abc import Iterable
from typing import Any, Final

from pyVmomi import vim

from app.children.vsphere.retrieving import Found

ENTITY: Final = ("name", "parent")


class Places:
    """`root` is the folder in which everything is; it has no name that counts."""

    def __init__(self, found: Iterable[Found], root: Any) -> None:
        self._known = {each.reference: each for each in found}
        self._root = root

    def folder_path(self, vm: Found) -> str | None:
        """`/Datacenter/vm/web`, names as vSphere escapes them; None where the user may not see them all."""
        above = self._above(vm)
        return "".join(f"/{each.get('name')}" for each in above) if above else None

    def host_path(self, vm: Found) -> list[str] | None:
        """The way to the VM's host as libvirt has it: `Folder, Datacenter, Cluster, esxi`."""
        host = self._known.get(vm.get("runtime.host"))
        above = self._above(host) if host is not None and host.get("name") else None
        if host is None or above is None:
            return None
        named = [each for number, each in enumerate(above) if not _is_kept_for_hosts(above, number)]
        return [each.get("name") for each in (*named, host)]

    def _above(self, found: Found) -> list[Found] | None:
        """From the outermost on; None where the user may not see one."""
        above: list[Found] = []
        parent = _parent(found)
        while parent is not None and parent != self._root:
            known = self._known.get(parent)
            if known is None or not known.get("name") or len(above) > len(self._known):
                return None
            above.insert(0, known)
            parent = _parent(known)
        return above


def _is_kept_for_hosts(above: list[Found], number: int) -> bool:
    """Each datacenter has a folder for its hosts, which libvirt leaves out."""
    return number > 0 and isinstance(above[number - 1].reference, vim.Datacenter)


def _parent(found: Found) -> Any:
    return found.get("parentVApp") or found.get("parentFolder") or found.get("parent")
