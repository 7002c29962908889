"""Reads an OVA's manifest (DSP0243, "Distribution"): `SHA256(disk1.vmdk)= …`."""

import re

_LINE = re.compile(
    r"SHA-?(?P<bits>1|224|256|384|512)\s*\((?P<name>[^\r\n]+)\)\s*=\s*(?P<digest>[0-9a-fA-F]+)\s*"
)


def checksums_in(manifest: bytes) -> dict[str, str]:
    """`sha256:…` for each file that the manifest names, the longest where it has several."""
    found: dict[str, str] = {}
    for line in manifest.decode(errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        checksum = f"sha{match['bits']}:{match['digest'].lower()}"
        found[match["name"]] = max(found.get(match["name"], ""), checksum, key=len)
    return found
