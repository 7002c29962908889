"""Builds the virt-v2v command line from what the host's binary can do (virt-v2v(1), "Options")."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import SecretStr

from app.errors import MissingAbilityError, UnsupportedPropertyError
from app.models.imports import NicMap
from app.models.vm import SourceDisk
from app.v2v.features import Features

MACHINE_READABLE: Final = "--machine-readable=stream:stdout"
FIRST_WITH_JSON: Final = (1, 42)
"""The first virt-v2v that writes its messages as JSON (virt-v2v(1), "Machine readable output").

1.40 takes `--machine-readable=stream:stdout` too, but writes no message there.
"""
FIRST_WITH_ALL_KEYS: Final = (2, 4)
"""The first virt-v2v that tries a key on every device (`--key all:…`); to older ones `all` names a device."""


@dataclass(frozen=True)
class V2vFile:
    """A file in the attempt's directory; a secret one goes when virt-v2v's process group is gone."""

    name: str
    data: bytes
    mode: int = 0o600
    secret: bool = False


@dataclass(frozen=True)
class V2vInput:
    """The `-i` half of a command line, and what the host's agent makes ready before virt-v2v starts."""

    argv: tuple[str, ...]
    files: tuple[V2vFile, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    preparation: Mapping[str, Any] | None = None
    disks: tuple[SourceDisk, ...] = ()
    """The disks as virt-v2v is to find them, for those who copy them without it."""


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
    preparation: Mapping[str, Any] | None = None
    copying: Mapping[str, Any] | None = None
    """The order of a copy (`v2v.copying`); `argv` is then a verb of the host's agent and its words."""


def build_argv(
    program: str,
    features: Features,
    source: V2vInput,
    target: V2vOutput,
    properties: V2vProperties,
    *,
    attempt_dir: str,
) -> Command:
    """Raises MissingAbilityError, UnsupportedPropertyError (what virt-v2v can't be told)."""
    keys = _key_files(features, properties.luks_keys, attempt_dir)
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
    return Command(argv, argv, (*source.files, *target.files, *keys), environment, source.preparation)


def is_machine_readable(features: Features) -> bool:
    """Whether the log of this binary holds messages as JSON."""
    return features.version >= FIRST_WITH_JSON


def _key_files(features: Features, keys: Sequence[SecretStr], attempt_dir: str) -> tuple[V2vFile, ...]:
    if not keys:
        return ()
    if features.version < FIRST_WITH_ALL_KEYS:
        raise MissingAbilityError("LUKS keys need virt-v2v 2.4 or newer: it tries a key on every device.")
    if ":" in attempt_dir:
        raise UnsupportedPropertyError("virt-v2v takes no key from a `work_dir` with `:` in its path.")
    return tuple(_key_file(key, number) for number, key in enumerate(keys))


def _key_file(key: SecretStr, number: int) -> V2vFile:
    """virt-v2v reads the first line of the file, and no other."""
    secret = key.get_secret_value()
    if not secret or set(secret) & {"\n", "\r", "\0"}:
        raise UnsupportedPropertyError(f"/conversion/luks_keys/{number}: a passphrase is one line of text.")
    return V2vFile(f"luks-key-{number}", secret.encode(), secret=True)


def _nic_arguments(features: Features, nics: Sequence[NicMap]) -> list[str]:
    """Of two maps of one NIC or network the first counts: virt-v2v refuses to be told twice."""
    arguments: dict[str, list[str]] = {}
    for number, nic in enumerate(nics):
        if nic.mac is None:
            arguments.setdefault(f"network {nic.network}", ["--network", _network_map(nic, number)])
            continue
        if "mac-option" not in features.options:
            raise MissingAbilityError("This virt-v2v can't map a NIC by its MAC address (`mac-option`).")
        arguments.setdefault(f"mac {nic.mac.lower()}", ["--mac", f"{nic.mac}:network:{nic.target}"])
    return [word for words in arguments.values() for word in words]


def _network_map(nic: NicMap, number: int) -> str:
    """`IN:OUT` is split at the first colon, so that OUT may have one."""
    if nic.network is None or ":" in nic.network:
        raise UnsupportedPropertyError(
            f"/nics/{number}/network: virt-v2v can't be told {nic.network!r}, for it has `:`; "
            "map its NICs by their MAC addresses."
        )
    return f"{nic.network}:{nic.target}"
