"""vSphere's words, and ours for them."""

from typing import Any, Final

from app.children.vsphere.retrieving import Found

MIB: Final = 2**20
POWER_STATES: Final = {"poweredOn": "up", "poweredOff": "down", "suspended": "suspended"}
FIRMWARE: Final = {"bios": "bios", "efi": "uefi"}
UNREADABLE: Final = {
    "disconnected": "The host of the VM is not connected to vCenter.",
    "inaccessible": "vCenter can't read the VM's files: they are damaged, or their datastore is away.",
    "invalid": "vCenter finds the VM's configuration invalid.",
    "orphaned": "vCenter knows the VM, but no host does any more.",
}
_ESCAPES: Final = (("%2f", "/"), ("%2F", "/"), ("%5c", "\\"), ("%5C", "\\"), ("%25", "%"))
"""What vSphere writes for these characters in the names of objects; `%25` has to be the last."""


def power_state(state: object) -> str:
    return POWER_STATES.get(str(state), "unknown")


def firmware(name: object) -> str | None:
    return FIRMWARE.get(str(name))


def own_name(found: Found) -> str:
    """As people wrote it; the id where the user may not see the name."""
    name = found.get("name")
    if not name:
        return str(found.reference._moId)  # noqa: SLF001  # pyvmomi's only name for it
    for escape, character in _ESCAPES:
        name = name.replace(escape, character)
    return str(name)


def standing(*, connection: object, is_template: bool, tracks_changes: bool) -> dict[str, Any]:
    """What stands in the way of an import, or follows from how the VM was used."""
    settings = {"is_template": is_template, "change_tracking": tracks_changes}
    return {
        "unreadable": UNREADABLE.get(str(connection)),
        "settings": {name: "true" for name, is_set in settings.items() if is_set},
    }
