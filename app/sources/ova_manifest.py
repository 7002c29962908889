"""Reads an OVA's manifest (DSP0243, "Distribution"): `SHA256(disk1.vmdk)= …`."""

import re

_LINE = re.compile(r"SHA\d+\s*\((?P<name>[^\r\n]+)\)\s*=\s*[0-9a-fA-F]+\s*")


def names_in(manifest: bytes) -> tuple[str, ...]:
    """The files that the manifest names; what is no such line says nothing."""
    lines = manifest.decode(errors="replace").splitlines()
    return tuple(found["name"] for line in lines if (found := _LINE.fullmatch(line)))
