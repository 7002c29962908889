"""A VM in files that clients uploaded: they are gathered on their proxy host, then read as what they are."""

from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from app.errors import (
    InvalidSourceError,
    SourceNotAllowedError,
    SourceNotFoundError,
    UnsupportedPropertyError,
)
from app.models.common import NoNul, Shape
from app.models.imports import ImportProperties
from app.models.vm import VmConfig
from app.proxy.uploads import Gathered, UploadFile
from app.sources.base import Reached, Site, Source, SourceReading
from app.sources.disk import Disk
from app.sources.libvirt_xml import LibvirtXml
from app.sources.ova import Ova
from app.sources.properties import for_conversion_alone
from app.sources.vmx import Vmx
from app.v2v.command import V2vInput

MOST_FILES: Final = 256
BESIDE_DISKS: Final[dict[str, Source[Any]]] = {source.kind: source for source in (LibvirtXml(), Vmx())}
"""Kinds of one file that describes the VM, its disks in files of their own. `_description` tells them."""


def _once_each(ids: tuple[UUID, ...]) -> tuple[UUID, ...]:
    if len(set(ids)) != len(ids):
        raise ValueError("an upload is named twice")
    return ids


class UploadSource(Shape):
    """Complete uploads on one proxy host: an OVA, or a libvirt XML, VMX or OVF file with its disks, or one
    disk image. They are deleted after the import has succeeded.
    """

    kind: Literal["upload"]
    upload_ids: Annotated[
        tuple[UUID, ...],
        Field(min_length=1, max_length=MOST_FILES, json_schema_extra={"uniqueItems": True}),
        AfterValidator(_once_each),
    ]
    vm_id: Annotated[str, StringConstraints(min_length=1, max_length=1024), NoNul] | None = None
    """Which VM, where an OVA holds several."""


class UploadedFiles:
    kind: ClassVar[str] = "upload"
    title: ClassVar[str] = "Uploaded files"
    Spec: type[UploadSource] = UploadSource

    def abilities(self, spec: UploadSource) -> frozenset[str]:
        """What is in the files is not known before they are read; every virt-v2v has all of these."""
        return frozenset({"input:disk", "input:libvirtxml"})

    async def read(self, spec: UploadSource, site: Site, *, without: Collection[str] = ()) -> SourceReading:
        """The source roots don't matter: nothing but the uploads themselves is looked at."""
        gathered = await site.agent.gather_uploads(spec.upload_ids)
        source, inner = behind(gathered, spec.vm_id)
        if without and source.kind == Disk.kind:
            raise UnsupportedPropertyError("The VM has only this disk.")
        try:
            reading = await source.read(inner, Site(site.agent, [gathered.directory]), without=without)
        except (SourceNotAllowedError, SourceNotFoundError) as error:
            raise InvalidSourceError(f"A file that is needed was not uploaded: {error.detail}") from error
        return SourceReading(
            config=reading.config,
            work_bytes=reading.work_bytes,
            source=inner,
            roots=(gathered.directory,),
        )

    def unsupported(self, properties: ImportProperties) -> list[tuple[str, str]]:
        return for_conversion_alone(properties)

    def input(
        self,
        spec: UploadSource,
        config: VmConfig,
        properties: ImportProperties,
        attempt_dir: str,
        reached: Reached | None = None,
    ) -> V2vInput:
        """Never asked for: the job goes on with the source that `read` found."""
        raise InvalidSourceError("The uploads have not been looked at.")


def behind(gathered: Gathered, vm_id: str | None) -> tuple[Source[Any], Shape]:
    """The source that the files are, and its spec. Raises InvalidSourceError when they are none."""
    described = [(file, kind) for file in gathered.files if (kind := _description(file)) is not None]
    if not described and len(gathered.files) == 1:
        [file] = gathered.files
        return Disk(), Disk.Spec(kind="disk", path=f"{gathered.directory}/{file.name}")
    if len(described) != 1:
        names = ", ".join(repr(file.name) for file, _ in described) or "none of them"
        raise InvalidSourceError(
            f"Several files need exactly one that describes the VM (OVF, VMX or libvirt XML); {names} does."
        )
    [(file, kind)] = described
    path = f"{gathered.directory}/{file.name}"
    if kind == "ovf":
        return Ova(), Ova.Spec(kind="ova", path=gathered.directory, vm_id=vm_id)
    if kind == "ova" and len(gathered.files) > 1:
        raise InvalidSourceError(f"The OVA {file.name!r} comes alone; its disks are in it.")
    if kind == "ova":
        return Ova(), Ova.Spec(kind="ova", path=path, vm_id=vm_id)
    source = BESIDE_DISKS[kind]
    return source, source.Spec(kind=kind, path=path)


def _description(file: UploadFile) -> str | None:
    """What kind of description of a VM the file is; None for a disk, a manifest, or whatever else."""
    name = file.name.lower()
    if file.form == "tar" or (file.form == "gzip" and name.endswith((".ova", ".tgz", ".tar.gz"))):
        return "ova"
    if name.endswith(".vmx"):
        return Vmx.kind
    if file.form == "xml":
        return "ovf" if name.endswith(".ovf") else LibvirtXml.kind
    return None
