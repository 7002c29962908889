"""Gives virt-v2v a VM as libvirt XML of ours: only what was looked at, nothing that came from outside."""

from app.formats.domain_writer import write_domain
from app.models.imports import ImportProperties
from app.models.vm import VmConfig
from app.sources.properties import included
from app.v2v.command import V2vFile, V2vInput

FILE_NAME = "source.xml"


def given_as_domain(
    config: VmConfig, properties: ImportProperties, attempt_dir: str, *, hypervisor: str = "kvm"
) -> V2vInput:
    """The VM without the disks that are to be left out; `hypervisor` is whose it was, in libvirt's words.

    Raises InvalidSourceError for a path that XML can't say.
    """
    disks = included(config.disks, properties)
    plain = config.model_copy(update={"description": None, "os": None})
    return V2vInput(
        argv=("-i", "libvirtxml", f"{attempt_dir}/{FILE_NAME}"),
        files=(V2vFile(name=FILE_NAME, data=write_domain(plain, disks, hypervisor)),),
        disks=disks,
    )
