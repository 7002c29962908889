"""The imports of a chaos run: always several in flight, each with what must become of it."""

import asyncio
import contextlib
import json
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.chaos.client import Client
from tests.chaos.hypervisor import Hypervisor

MIB = 2**20
ENDED = frozenset({"succeeded", "failed", "cancelled"})
SECRET = "passphrase-that-nobody-may-read"
OF_PROVIDERS = 0.2
"""The share of imports that are VMs of a provider."""
BOUND_SECONDS = 120
"""How long past its plain duration an import may take to end, once nothing is broken any more."""
NAMES = ("web", "it's", 'a "quoted" one', "größer", "a  b", "$HOME `id`", "x;y", "-n")


@dataclass
class Wanted:
    """One import that was asked for, and what may become of it."""

    number: int
    id: str
    source: Path
    domain_kind: str
    seconds: float
    """How long its virt-v2v takes when nothing breaks."""
    states: set[str] = field(default_factory=lambda: {"succeeded"})
    codes: set[str] = field(default_factory=set)
    """The problems with which it may fail."""
    virt_v2v_losses: int = 0
    """How often its virt-v2v was taken away from outside."""
    calm_since: float = field(default_factory=time.monotonic)
    """Since when nothing was broken that it may have to wait for."""
    found: dict[str, Any] | None = None
    """The import as it ended."""
    is_settled: bool = False
    """Whether it was looked at after its end."""

    @property
    def uuid(self) -> UUID:
        return UUID(self.id)

    def may_fail(self, *codes: str) -> None:
        self.states.add("failed")
        self.codes.update(codes)

    def is_late(self) -> bool:
        return time.monotonic() - self.calm_since > self.seconds + BOUND_SECONDS

    def is_true(self) -> bool:
        """Whether it ended as it may."""
        assert self.found is not None
        if self.found["state"] not in self.states:
            return False
        return self.found["state"] != "failed" or self.found["problem"]["code"] in self.codes


class Images:
    """Small images to be imported: a copy of one for each import, so that a run is known by its source."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self._raw = directory.parent / "template.raw"
        self._qcow2 = directory.parent / "template.qcow2"
        self._raw.write_bytes(random.Random(1).randbytes(MIB) + bytes(3 * MIB))
        subprocess.run(
            ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(self._raw), str(self._qcow2)], check=True
        )

    def make(self, number: int, control: dict[str, Any]) -> Path:
        template = self._qcow2 if number % 2 else self._raw
        path = self.directory / f"disk {number}{template.suffix}"
        shutil.copy(template, path)
        Path(f"{path}.control.json").write_text(json.dumps(control))
        return path

    def is_copied(self, source: Path, copy: Path, copy_format: str) -> bool:
        """Whether the copy holds what the source holds."""
        formats = ["-f", source.suffix[1:], "-F", copy_format]
        compared = subprocess.run(
            ["qemu-img", "compare", "-q", *formats, str(source), str(copy)], check=False
        )
        return compared.returncode == 0

    def drop(self, source: Path) -> None:
        for path in (source, Path(f"{source}.control.json")):
            path.unlink(missing_ok=True)


class Load:
    """Starts imports, and knows which are in flight."""

    def __init__(
        self,
        client: Client,
        images: Images,
        domains: dict[str, str],
        *,
        providers: dict[str, Hypervisor],
        chance: random.Random,
        stretch: float,
    ) -> None:
        """`domains` are storage domains' ids by their kind, `providers` by their ids; long imports take
        `stretch` times longer than those of a short run.
        """
        self._client, self._images, self._domains, self._chance = client, images, domains, chance
        self._providers, self._stretch = providers, stretch
        self.all: list[Wanted] = []
        self._codes: tuple[str, ...] = ()

    def in_flight(self) -> list[Wanted]:
        return [wanted for wanted in self.all if wanted.id and wanted.found is None]

    async def top_up(self, count: int) -> None:
        """Start imports until so many are in flight: most are long ones."""
        missing = count - len(self.in_flight())
        await asyncio.gather(*(self.start(seconds=self._duration()) for _ in range(missing)))

    def _duration(self) -> float:
        is_long = self._chance.random() < 0.65
        return self._chance.uniform(10, 30) * self._stretch if is_long else self._chance.uniform(1, 4)

    async def start(
        self,
        *,
        seconds: float,
        control: dict[str, Any] | None = None,
        source: Path | None = None,
        **more: Any,
    ) -> Wanted:
        number = len(self.all)
        kind = self._chance.choice(sorted(self._domains))
        ways = {"seconds": min(seconds, 2) / 4, "copy_seconds": seconds, **(control or {})}
        path = source or self._images.make(number, ways)
        is_plain = source is not None or control is not None or self._chance.random() > OF_PROVIDERS
        body: dict[str, Any] = {
            "source": {"kind": "disk", "path": str(path)} if is_plain else self._vm(path),
            "storage_domain_id": self._domains[kind],
            "vm": {"name": f"{self._chance.choice(NAMES)} {number}"},
            "disk_defaults": {"format": self._chance.choice(["raw", "qcow2"])},
            "labels": {"number": str(number)},
            **more,
        }
        if source is None:
            body["conversion"] = {"luks_keys": [SECRET], **body.get("conversion", {})}
        wanted = Wanted(number, "", path, kind, seconds)
        if self._codes:
            wanted.may_fail(*self._codes)
        self.all.append(wanted)
        answer = await self._client.post("/v1/imports", body)
        assert answer.is_success, answer.text
        wanted.id = answer.json()["id"]
        return wanted

    def _vm(self, image: Path) -> dict[str, str]:
        """The source that is a VM of one of the providers."""
        provider_id, hypervisor = self._chance.choice(sorted(self._providers.items()))
        return {"kind": "provider_vm", "provider_id": provider_id, "vm_id": hypervisor.add(image)}

    def drop(self, wanted: Wanted) -> None:
        """Its source is no longer needed."""
        for hypervisor in self._providers.values():
            hypervisor.drop(wanted.source)
        self._images.drop(wanted.source)

    @contextlib.contextmanager
    def failing_with(self, *codes: str) -> Iterator[None]:
        """What is in flight, and what begins in this block, may fail so."""
        self._codes = codes
        for wanted in self.in_flight():
            wanted.may_fail(*codes)
        try:
            yield
        finally:
            self._codes = ()

    async def look(self, among: Sequence[Wanted]) -> None:
        """Note which of them have ended."""
        for wanted in among:
            if wanted.found is None and wanted.id:
                found = await self._client.get(f"/v1/imports/{wanted.id}")
                if found["state"] in ENDED:
                    wanted.found = found
