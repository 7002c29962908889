"""A VM described by a VMware configuration file (VMX) beside its disk images."""

import posixpath
import re
from collections.abc import Collection, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from app.errors import SourceNotFoundError
from app.formats.vmx import LARGEST_BYTES, read_vmx, snapshot_count
from app.models.common import Shape, SourcePath
from app.models.imports import ImportProperties
from app.models.vm import PowerState, VmConfig
from app.proxy.agent_client import HostAgent
from app.sources.base import Reached, Site, SourceReading
from app.sources.given import given_as_domain
from app.sources.images import looked_at
from app.sources.properties import for_conversion_alone
from app.v2v.command import V2vInput


class VmxSource(Shape):
    """A VMX file on the proxy host; relative disk paths are relative to it."""

    kind: Literal["vmx"]
    path: SourcePath = Field(examples=["/srv/images/web-1/web-1.vmx"])


class Vmx:
    kind: ClassVar[str] = "vmx"
    title: ClassVar[str] = "VMX"
    Spec: type[VmxSource] = VmxSource

    def abilities(self, spec: VmxSource) -> frozenset[str]:
        return frozenset({"input:libvirtxml"})

    async def read(self, spec: VmxSource, site: Site, *, without: Collection[str] = ()) -> SourceReading:
        directory, stem = posixpath.dirname(spec.path), _stem(spec.path)
        config = read_vmx(
            await site.agent.read(spec.path, roots=site.roots, limit_bytes=LARGEST_BYTES), name=stem
        )
        beside = (await site.agent.look(directory, roots=site.roots)).names
        disks = await looked_at(site.agent, config.disks, directory, site.roots, without=without)
        update = {
            "disks": disks,
            "state": _state(config, posixpath.basename(spec.path), beside),
            "has_snapshots": config.has_snapshots
            or await _has_snapshots(site.agent, f"{directory}/{stem}", site.roots),
        }
        return SourceReading(config=config.model_copy(update=update), work_bytes=0)

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        return for_conversion_alone(properties)

    def input(
        self,
        spec: VmxSource,
        config: VmConfig,
        properties: ImportProperties,
        attempt_dir: str,
        reached: Reached | None = None,
    ) -> V2vInput:
        """Not `-i vmx`: that reads the file again, and its reader (virt-v2v 2.2) passes over SATA disks and
        static MAC addresses, and leaves no disk out that isn't wanted.
        """
        return given_as_domain(config, properties, attempt_dir, hypervisor="vmware")


def _stem(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0]


def _state(config: VmConfig, name: str, beside: Sequence[str]) -> PowerState:
    """By the locks and the saved memory that VMware keeps beside the file."""
    own = {name, *(posixpath.basename(disk.path or "") for disk in config.disks)}
    if any(entry.startswith(".lck-") or entry.removesuffix(".lck") in own - {entry} for entry in beside):
        return PowerState.UP
    saved = re.compile(rf"{re.escape(_stem(name))}(-[0-9a-f]{{8}})?\.vmss")
    if any(saved.fullmatch(entry) for entry in beside):
        return PowerState.SUSPENDED
    return config.state if config.state is PowerState.SUSPENDED else PowerState.DOWN


async def _has_snapshots(agent: HostAgent, path: str, roots: Sequence[str]) -> bool:
    try:
        data = await agent.read(f"{path}.vmsd", roots=roots, limit_bytes=LARGEST_BYTES)
    except SourceNotFoundError:
        return False
    # VMware writes an empty one for a VM that never had a snapshot.
    return bool(data.strip()) and bool(snapshot_count(data))
