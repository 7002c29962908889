"""Folders that hold many VMs: OVAs, libvirt XML and VMX files with their disks, disk images."""

import asyncio
import posixpath
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from app.errors import AppError, HostError
from app.models.common import Shape, SourcePath
from app.proxy.folders import FolderEntry, FolderForm
from app.sources.base import Site
from app.sources.disk import Disk, DiskSource
from app.sources.libvirt_xml import LibvirtXml, LibvirtXmlSource
from app.sources.ova import OvaSource
from app.sources.scans.base import Findings, Found, Scanner, read_vm
from app.sources.scans.export_domain import ExportDomainScan, ScanExportDomain
from app.sources.scans.ova import ScanOva
from app.sources.vmx import Vmx, VmxSource

AT_ONCE: Final = 3
"""Looks at the same time: others need the proxy host as well."""
LONGEST_DESCRIPTION: Final = 4 * 2**20


class FolderScan(Shape):
    """A folder on the proxy host, with those below it."""

    kind: Literal["folder"]
    path: SourcePath = Field(examples=["/srv/exports"])


class ScanFolder:
    kind: ClassVar[str] = "folder"
    Spec: type[FolderScan] = FolderScan

    async def scan(self, spec: FolderScan, site: Site) -> Findings:
        """Descriptions first: an image that one of them names is no VM of its own."""
        walked = await site.agent.walk(spec.path, roots=site.roots)
        described = _once_a_folder(entry for entry in walked.entries if entry.form is not FolderForm.DISK)
        images = [entry for entry in walked.entries if entry.form is FolderForm.DISK]
        found = await _each(described, site)
        taken = {path for entry in walked.entries for path in entry.references} | _paths(found)
        for one in found:
            if one.problem is not None:
                taken |= await _named_in(one, images, site)
        found += await _each([image for image in images if image.path not in taken], site)
        found += [Found(refused.path, None, problem=refused.error()) for refused in walked.refused]
        return Findings(tuple(sorted(found, key=lambda one: one.path or "")), complete=walked.complete)


def _once_a_folder(entries: Iterable[FolderEntry]) -> list[FolderEntry]:
    """An OVF stands for the whole folder that it lies in."""
    found: dict[str, FolderEntry] = {}
    for entry in entries:
        is_ovf = entry.form is FolderForm.OVF
        found.setdefault(posixpath.dirname(entry.path) if is_ovf else entry.path, entry)
    return list(found.values())


async def _each(entries: Sequence[FolderEntry], site: Site) -> list[Found]:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(entry: FolderEntry) -> tuple[Found, ...]:
        async with limit:
            return await _vms(entry, site)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(entry)) for entry in entries]
    except ExceptionGroup as failed:
        # One host, one reason: the first says it.
        raise failed.exceptions[0] from None
    return [found for task in tasks for found in task.result()]


async def _vms(entry: FolderEntry, site: Site) -> tuple[Found, ...]:
    """What the entry is an import of, or why it can't be imported. Raises HostError."""
    path = entry.path
    if entry.form is FolderForm.LIBVIRT_XML:
        xml = LibvirtXmlSource(kind="libvirt_xml", path=path)
        return (await read_vm(LibvirtXml(), xml, site, path=path),)
    if entry.form is FolderForm.VMX:
        return (await read_vm(Vmx(), VmxSource(kind="vmx", path=path), site, path=path),)
    if entry.form is FolderForm.DISK:
        return (await read_vm(Disk(), DiskSource(kind="disk", path=path), site, path=path),)
    if entry.form is FolderForm.EXPORT_DOMAIN:
        domain = ExportDomainScan(kind="export_domain", path=path)
        return await _several(ScanExportDomain(), domain, None, path, site)
    ova = OvaSource(kind="ova", path=posixpath.dirname(path) if entry.form is FolderForm.OVF else path)
    return await _several(ScanOva(), ova, ova, path, site)


async def _several(
    scanner: Scanner[Any],
    spec: Shape,
    source: Shape | None,
    path: str,
    site: Site,
) -> tuple[Found, ...]:
    try:
        findings: Findings = await scanner.scan(spec, site)
    except HostError:
        raise
    except AppError as error:
        return (Found(path, source, problem=error),)
    return findings.found


def _paths(found: Iterable[Found]) -> set[str]:
    """The images that the VMs stand on."""
    disks = [disk for one in found if one.config is not None for disk in one.config.disks]
    return {disk.path for disk in disks if disk.path} | {file.path for disk in disks for file in disk.chain}


async def _named_in(broken: Found, images: Sequence[FolderEntry], site: Site) -> set[str]:
    """The images in its folder that a description names which can't be imported: they are its VM's all the
    same.
    """
    if broken.path is None:
        return set()
    folder = posixpath.dirname(broken.path)
    near = [image.path for image in images if image.path.startswith(f"{folder}/")]
    if not near:
        return set()
    try:
        data = await site.agent.read(broken.path, roots=site.roots, limit_bytes=LONGEST_DESCRIPTION)
    except HostError:
        raise
    except AppError:
        return set()
    return {path for path in near if posixpath.basename(path).encode() in data}
