"""Builds the virt-v2v command line from what the host's binary can do (virt-v2v(1), "Options")."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import SecretStr

from app.errors import MissingAbilityError, UnsupportedPropertyError
from app.models.imports import NicMap
from app.v2v.features import Features

MACHINE_READABLE: Final = "--machine-readable=stream:stdout"
FIRST_WITH_STREAM: Final = (1, 40)
"""The first virt-v2v whose `--machine-readable` takes a stream (virt-v2v(1), "Machine readable output")."""
FIRST_WITH_KEYS: Final = (1, 40)
FIRST_WITH_ALL_KEYS: Final = (2, 2)
"""The first virt-v2v that takes `--key all:…`; before it a key names its device."""


@dataclass(frozen=True)
class V2vFile:
    """A file in the attempt's directory; a secret one goes when virt-v2v's process group is gone."""

    name: str
    data: bytes
    mode: int = 0o600
    secret: bool = False


@dataclass(frozen=True)
class V2vInput:
    """The `-i` half of a command line."""

    argv: tuple[str, ...]
    files: tuple[V2vFile, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class V2vOutput:
    """The `-o` half of a command line."""

    argv: tuple[str, ...]
    files: tuple[V2vFile, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class V2vProperties:
    """What belongs to neither half."""

    root: str
    nics: tuple[NicMap, ...]
    luks_keys: tuple[SecretStr, ...]
    debug: bool


@dataclass(frozen=True)
class Command:
    """A whole command, the files that it needs, and the environment that it runs in.

    `masked` is the command as people may see it; no secret is in either, for secrets are in files.
    """

    argv: tuple[str, ...]
    masked: tuple[str, ...]
    files: tuple[V2vFile, ...]
    environment: Mapping[str, str]


def build_argv(
    program: str,
    features: Features,
    source: V2vInput,
    target: V2vOutput,
    properties: V2vProperties,
    *,
    attempt_dir: str,
) -> Command:
    """Raises MissingAbilityError, UnsupportedPropertyError (a network's name that virt-v2v can't be told)."""
    keys = _key_files(features, properties.luks_keys)
    argv = (
        program,
        *((MACHINE_READABLE,) if is_machine_readable(features) else ()),
        *(("-v", "-x") if properties.debug else ()),
        *("--root", properties.root),
        *source.argv,
        *target.argv,
        *_nic_arguments(features, properties.nics),
        *(part for file in keys for part in ("--key", f"all:file:{attempt_dir}/{file.name}")),
    )
    environment = {"LIBGUESTFS_BACKEND": "direct", **source.environment, **target.environment}
    return Command(argv, argv, (*source.files, *target.files, *keys), environment)


def is_machine_readable(features: Features) -> bool:
    """Whether the log of this binary holds messages as JSON."""
    return features.version >= FIRST_WITH_STREAM


def _key_files(features: Features, keys: Sequence[SecretStr]) -> tuple[V2vFile, ...]:
    if keys and features.version < FIRST_WITH_ALL_KEYS:
        raise MissingAbilityError("This virt-v2v takes no LUKS keys without their devices' names.")
    return tuple(
        V2vFile(f"luks-key-{number}", key.get_secret_value().encode(), secret=True)
        for number, key in enumerate(keys)
    )


def _nic_arguments(features: Features, nics: Sequence[NicMap]) -> list[str]:
    arguments: list[str] = []
    for number, nic in enumerate(nics):
        if nic.mac is not None and "mac-option" not in features.options:
            raise MissingAbilityError("This virt-v2v can't map a NIC by its MAC address (`mac-option`).")
        arguments += _nic_argument(nic, number)
    return arguments


def _nic_argument(nic: NicMap, number: int) -> list[str]:
    """`IN:OUT` is split at the first colon, and `MAC:network:OUT` has no more of them."""
    if nic.mac is not None:
        return ["--mac", f"{nic.mac}:network:{_without_colon(nic.target, f'/nics/{number}/target')}"]
    source = _without_colon(nic.network or "", f"/nics/{number}/network")
    return ["--network", f"{source}:{nic.target}"]


def _without_colon(name: str, pointer: str) -> str:
    if ":" in name:
        raise UnsupportedPropertyError(f"{pointer}: virt-v2v takes no `:` in {name!r}.")
    return name
