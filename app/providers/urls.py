"""Provider URLs: taken apart by rules of our own, and rebuilt from their parts.

What comes in is hostile: libvirt's URLs can run commands (`+ext`, `command=`), and name key files. So nothing
of the text is passed on but what a rule knows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address
from typing import Final

_FORM: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+]{0,31})://"
    r"(?:(?P<username>[^/:@?#\[\]]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?)?"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?"
)
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~+,=@ -]+)+")
_USERNAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,255}")
HIGHEST_PORT: Final = 65535
SSH_PORT: Final = 22


class Reach(StrEnum):
    """How a provider is reached; through a proxy host by a tunnel of that kind."""

    HTTPS = "https"
    """TLS to its port; through a proxy host by HTTP CONNECT."""
    SSH = "ssh"
    """An SSH login of ours, and its libvirt's Unix socket forwarded."""
    TCP = "tcp"
    """Its port."""
    LOCAL = "local"
    """It is on the service's machine."""


@dataclass(frozen=True)
class Scheme:
    """What a kind's URLs with this scheme may have."""

    reach: Reach
    default_port: int | None = None
    paths: frozenset[str] = frozenset({""})
    """Those that are allowed, without a `/` at the end; the shortest stands for none."""
    has_free_path: bool = False
    """Any plain path, for files of libvirt's test driver."""
    takes_username: bool = False


@dataclass(frozen=True)
class ProviderUrl:
    """A URL's parts. No part has a character that any URL reader would take for another part's."""

    scheme: str
    reach: Reach
    host: str | None
    """A name or an address; IPv6 without its brackets."""
    port: int | None
    """As it was given."""
    default_port: int | None
    path: str
    username: str | None = None

    @property
    def effective_port(self) -> int | None:
        return self.port or self.default_port

    @property
    def ssh_port(self) -> int | None:
        """The port of the host's SSH server; None where the host is the service's own."""
        if self.reach is Reach.SSH:
            return self.effective_port
        return None if self.reach is Reach.LOCAL else SSH_PORT

    def __str__(self) -> str:
        user = f"{self.username}@" if self.username else ""
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host or ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{user}{host}{port}{self.path}"


def parse(text: str, schemes: Mapping[str, Scheme]) -> ProviderUrl:
    """Raises ValueError, whose text is a sentence for people."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(_fault(text))
    scheme = schemes.get(found["scheme"])
    if scheme is None:
        raise ValueError(f"The scheme must be one of {', '.join(sorted(schemes))}.")
    return ProviderUrl(
        scheme=found["scheme"],
        reach=scheme.reach,
        host=_host(found["host"], scheme),
        port=_port(found["port"], scheme),
        default_port=scheme.default_port,
        path=_path(found["path"] or "", scheme),
        username=_username(found["username"], scheme),
    )


def _fault(text: str) -> str:
    """Why it has not the form at all. What stands there is not told: it may be a password."""
    if "?" in text or "#" in text:
        return "The URL has no query part and no fragment."
    authority = text.partition("://")[2].partition("/")[0]
    if "@" in authority and ":" in authority.rpartition("@")[0]:
        return "The URL has no password: give it in `password`."
    return "Write it as scheme://host, with a port and a path where the kind has them."


def _host(text: str | None, scheme: Scheme) -> str | None:
    if scheme.reach is Reach.LOCAL:
        if text:
            raise ValueError("A local URL has no host: `qemu:///system`.")
        return None
    if not text:
        raise ValueError("The URL needs a host.")
    if text.startswith("["):
        return _ipv6(text[1:-1])
    if ".." in text:
        raise ValueError("The host's name has an empty part.")
    return text.lower()


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError as error:
        raise ValueError("What stands in brackets is no IPv6 address.") from error


def _port(text: str | None, scheme: Scheme) -> int | None:
    if text is None:
        return None
    if scheme.reach is Reach.LOCAL:
        raise ValueError("A local URL has no port.")
    if not 1 <= int(text) <= HIGHEST_PORT:
        raise ValueError("A port is a number from 1 to 65535.")
    return int(text)


def _path(text: str, scheme: Scheme) -> str:
    if scheme.has_free_path:
        if not _PATH.fullmatch(text) or {".", ".."} & set(text.split("/")):
            raise ValueError("The path has letters, digits and `._~+,=@ -`, and no `..`.")
        return text
    path = text.removesuffix("/")
    if path and path not in scheme.paths:
        allowed = ", ".join(f"`{known}`" for known in sorted(scheme.paths) if known)
        raise ValueError(f"The path must be {allowed}." if allowed else "The URL has no path.")
    return path or min(scheme.paths, key=len)


def _username(text: str | None, scheme: Scheme) -> str | None:
    if text is None:
        return None
    if not scheme.takes_username:
        raise ValueError("The URL has no user name: give it in `username`.")
    if not _USERNAME.fullmatch(text):
        raise ValueError("The user name has letters, digits and `._-` only.")
    return text
