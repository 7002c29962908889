"""The NICs of a VM as they are to be: on the networks, and with the MAC addresses, that were asked for."""

from collections.abc import Sequence
from secrets import token_bytes

from app.errors import FieldError, UnknownReferenceError
from app.models.imports import MacPolicy, NicMap
from app.models.vm import SourceNic

MAC_PREFIX = "52:54:00"
"""Of QEMU's own: no device of a maker bears it."""


def mapped(nics: Sequence[SourceNic], maps: Sequence[NicMap]) -> tuple[SourceNic, ...]:
    """Each NIC as the first map of its MAC address says, or else the first of its network."""
    return tuple(_mapped(nic, maps) for nic in nics)


def _mapped(nic: SourceNic, maps: Sequence[NicMap]) -> SourceNic:
    by_mac = [m for m in maps if m.mac and nic.mac and m.mac.lower() == nic.mac.lower()]
    by_network = [m for m in maps if m.network and m.network == nic.network]
    chosen = next(iter([*by_mac, *by_network]), None)
    if chosen is None:
        return nic
    mac = _new_mac() if chosen.mac_policy is MacPolicy.NEW else nic.mac
    return nic.model_copy(update={"network": chosen.target, "mac": mac})


def _new_mac() -> str:
    return ":".join([MAC_PREFIX, *(f"{byte:02x}" for byte in token_bytes(3))])


def check_macs(nics: Sequence[SourceNic], maps: Sequence[NicMap]) -> None:
    """Raises UnknownReferenceError for a MAC address that no NIC has.

    A network that no NIC is on is fine: one list of maps serves many VMs.
    """
    known = {nic.mac.lower() for nic in nics if nic.mac}
    told = ", ".join(sorted(known)) or "none whose address is known"
    faults = tuple(
        FieldError(
            pointer=f"/nics/{number}/mac",
            code="unknown_reference",
            detail=f"The VM has no NIC {wanted.mac}; it has {told}.",
        )
        for number, wanted in enumerate(maps)
        if wanted.mac and wanted.mac.lower() not in known
    )
    if faults:
        raise UnknownReferenceError(faults[0].detail, errors=faults)
