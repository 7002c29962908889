"""What a proxy host's virt-v2v can do, from its own words (virt-v2v(1), "Machine readable output")."""

import re
from dataclasses import dataclass
from typing import Final

from app.models.proxy_hosts import VirtV2vStatus

STABLE_NAMES: Final = {
    "output:disk": "output:local",
    "output:ovirt": "output:rhv",
    "output:rhev": "output:rhv",
    "output:ovirt-upload": "output:rhv-upload",
    "option:ovf:ovirtexp": "option:ovf:rhvexp",
}
"""Other spellings, and the one for each that virt-v2v 1.38 to 2.10 all accept on their command lines."""

UNANNOUNCED: Final = frozenset({"input:disk", "input:libvirtxml", "input:ova", "output:local", "output:null"})
"""Modes that every virt-v2v has had from the beginning, announced or not."""

_VERSION = re.compile(r"virt-v2v\s+([0-9]{1,6}(?:\.[0-9]{1,6}){0,3})")
_NUMBERS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})*")


@dataclass(frozen=True)
class Features:
    """`version` is empty when it is unknown. Inputs, outputs and options bear their stable names."""

    version: tuple[int, ...]
    inputs: frozenset[str]
    outputs: frozenset[str]
    options: frozenset[str]


def status_of(version_text: str, capabilities_text: str) -> VirtV2vStatus:
    """What `virt-v2v --version` and `virt-v2v --machine-readable` printed, as the host's record keeps it."""
    words = [line.strip() for line in capabilities_text.splitlines() if line.strip()]
    return VirtV2vStatus(
        version=_version_in(version_text),
        inputs=tuple(word.removeprefix("input:") for word in words if word.startswith("input:")),
        outputs=tuple(word.removeprefix("output:") for word in words if word.startswith("output:")),
        features=tuple(word for word in words if not word.startswith(("input:", "output:"))),
    )


def _version_in(text: str) -> str:
    """`virt-v2v 2.2.0rhel=9,release=5.el9` says `2.2.0`."""
    found = _VERSION.search(text)
    return found.group(1) if found else "unknown"


def features_of(status: VirtV2vStatus) -> Features:
    numbers = status.version.split(".") if _NUMBERS.fullmatch(status.version) else []
    return Features(
        version=tuple(int(number) for number in numbers),
        inputs=_named("input", status.inputs),
        outputs=_named("output", status.outputs),
        options=_named("option", status.features),
    )


def _named(half: str, names: tuple[str, ...]) -> frozenset[str]:
    announced = {_stable(f"{half}:{name}") for name in names}
    known = {name for name in UNANNOUNCED if name.startswith(f"{half}:")}
    return frozenset(name.removeprefix(f"{half}:") for name in announced | known)


def _stable(name: str) -> str:
    return STABLE_NAMES.get(name, name)


def missing(features: Features, needed: frozenset[str]) -> list[str]:
    """Those of `input:…`, `output:…` and `option:…` that this binary lacks; either spelling will do."""
    return sorted(name for name in needed if not _has(features, name))


def _has(features: Features, needed: str) -> bool:
    half, _, name = _stable(needed).partition(":")
    has = {"input": features.inputs, "output": features.outputs, "option": features.options}
    return name in has.get(half, frozenset())
