"""Looks at disk images on the host of their VM: by one `qemu-img info` each, its format pinned."""

from __future__ import annotations

import json
import os
import posixpath
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Iterator, NamedTuple

from app.proxy.agent.refusals import (
    InvalidSourceError,
    ProviderRefusedError,
    ProviderTimeoutError,
    SourceNotFoundError,
    UnsafeImageError,
)
from app.proxy.agent.ssh_login import Login, refusal, ssh_to

FORMATS = {"raw", "qcow2", "qed", "vdi", "vhdx", "vpc"}
"""What names no other file but its backing."""
DEEPEST_CHAIN = 32
ROUND_SECONDS = 90.0
LACKING = 3
_STRANGE = re.compile("[\0-\x1f\x7f]")
_PROTOCOL = re.compile("[^/]*:")
PATHS = 'PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"\nexport PATH\n'
LOOK = f"""{PATHS}LC_ALL=C.UTF-8
export LC_ALL
for name in qemu-img qemu-nbd; do
  command -v "$name" >/dev/null || {{ printf '%s is not installed there.' "$name" >&2; exit {LACKING}; }}
done
look() {{
  status=0
  real=$(readlink -f -- "$2") && [ -e "$real" ] || {{ printf 'missing\\n%s\\n\\0' "$2"; return; }}
  out=$(qemu-img info --output=json -U -f "$1" -- "$real" 2>/dev/null) || status=1
  [ "$status" = 0 ] || out=$(qemu-img info -U -f "$1" -- "$real" 2>&1 >/dev/null)
  printf '%s\\n%s\\n%s\\0' "$status" "$real" "$out"
}}
"""


class Wanted(NamedTuple):
    path: str
    format: str


class Image(NamedTuple):
    """An image as it is there, and what qemu says of it."""

    path: str
    format: str
    info: dict[str, Any]


def provider_images(
    *, login: dict[str, Any], secret: str, disks: list[dict[str, str]]
) -> list[dict[str, object]]:
    """Each disk with its real path, sizes and chain, once that was found harmless.

    Raises RefusedError: UnsafeImageError, InvalidSourceError, SourceNotFoundError, Provider…Error.
    """
    with tempfile.TemporaryFile() as file, tempfile.TemporaryDirectory(prefix="v2v-import-") as directory:
        # A file without a name: what ends us can't leave the secret behind.
        file.write(secret.encode())
        file.flush()
        there = _There(Login(**login), f"/proc/{os.getpid()}/fd/{file.fileno()}", Path(directory))
        chains = _chains([Wanted(**disk) for disk in disks], there)
        return [_described(chain) for chain in chains]


class _There(NamedTuple):
    login: Login
    secret: str
    directory: Path

    def look(self, wanted: list[Wanted]) -> list[Image]:
        for image in wanted:
            _check_wanted(image)
        calls = [f"look {shlex.quote(image.format)} {shlex.quote(image.path)}\n" for image in wanted]
        answers = self._ask(LOOK + "".join(calls)).split(b"\0")[:-1]
        if len(answers) != len(wanted):
            raise ProviderRefusedError(f"{self.login.host} answered something strange.")
        return [_image(one, answer.decode()) for one, answer in zip(wanted, answers)]

    def _ask(self, program: str) -> bytes:
        ssh = ssh_to(self.login, self.secret, self.directory)
        try:
            done = subprocess.run(
                ssh.argv,
                input=program.encode(),
                capture_output=True,
                timeout=ROUND_SECONDS,
                check=False,
                env=ssh.environment,
                cwd=str(ssh.directory),
            )
        except subprocess.TimeoutExpired as error:
            raise ProviderTimeoutError(f"{self.login.host} did not answer in {ROUND_SECONDS:g} s.") from error
        said = done.stderr.decode(errors="replace")
        if done.returncode == LACKING:
            raise ProviderRefusedError(f"On {self.login.host} {said.strip()[-500:]}")
        if done.returncode != 0:
            raise refusal(self.login, done.returncode, said)
        return done.stdout


def _check_wanted(image: Wanted) -> None:
    if not image.path.startswith("/") or _STRANGE.search(image.path):
        raise InvalidSourceError(f"{image.path!r} is no absolute path without control characters.")
    if image.format not in FORMATS:
        raise InvalidSourceError(f"{image.path!r} is of the format {image.format!r}, which can't be brought.")


def _image(wanted: Wanted, answer: str) -> Image:
    status, _, rest = answer.partition("\n")
    real, _, said = rest.partition("\n")
    if status == "missing":
        raise SourceNotFoundError(f"There is no {wanted.path!r} on the VM's host.")
    if status != "0":
        raise InvalidSourceError(f"qemu-img can't read {real!r} on the VM's host: {said.strip()[-500:]}")
    return Image(real, wanted.format, json.loads(said))


def _chains(wanted: list[Wanted], there: _There) -> list[list[Image]]:
    chains: list[list[Image]] = [[image] for image in there.look(wanted)]
    for _ in range(DEEPEST_CHAIN):
        below = [(chain, backing) for chain in chains for backing in _backing(chain[-1])]
        if not below:
            return chains
        for (chain, _), image in zip(below, there.look([backing for _, backing in below])):
            _check_beside(image.path, chain[-1])
            chain.append(image)
    raise UnsafeImageError(f"An image's chain has more than {DEEPEST_CHAIN} links.")


def _backing(image: Image) -> Iterator[Wanted]:
    """The image that this one stands on, if it does. Raises UnsafeImageError."""
    details = image.info.get("format-specific", {}).get("data", {})
    if "data-file" in details:
        raise UnsafeImageError(f"{image.path!r} keeps its data in another file.")
    name = image.info.get("backing-filename")
    if name is None:
        return
    backing_format = image.info.get("backing-filename-format")
    if backing_format is None:
        raise UnsafeImageError(
            f"{image.path!r} does not say of which format {name!r} is, on which it stands."
        )
    if _PROTOCOL.match(name):
        raise UnsafeImageError(f"{image.path!r} refers to {name!r}, which is no file's path.")
    path = posixpath.join(posixpath.dirname(image.path), name)
    _check_beside(path, image)
    yield Wanted(path, backing_format)


def _check_beside(path: str, image: Image) -> None:
    directory = posixpath.dirname(image.path)
    if posixpath.commonpath([posixpath.normpath(path), directory]) != directory:
        raise UnsafeImageError(f"{image.path!r} refers to {path!r}, outside its own directory.")


def _described(chain: list[Image]) -> dict[str, object]:
    first, *below = chain
    return {
        "path": first.path,
        "format": first.format,
        "virtual_bytes": first.info["virtual-size"],
        "actual_bytes": first.info.get("actual-size", 0),
        "chain_bytes": sum(image.info.get("actual-size", 0) for image in below),
        "chain": [{"path": image.path, "format": image.format} for image in below],
        "is_encrypted": any(bool(image.info.get("encrypted")) for image in chain),
    }
