"""Descriptions of VMs for tests: libvirt XML and VMX files, each with its disks."""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr


def domain_xml(disks: Sequence[str], *, name: str = "web-1", format_name: str = "raw") -> bytes:
    """A libvirt domain with these files as its disks."""
    told = "".join(
        f"<disk type='file' device='disk'><driver type='{format_name}'/>"
        f"<source file={quoteattr(disk)}/><target dev='vd{chr(97 + number)}'/></disk>"
        for number, disk in enumerate(disks)
    )
    return (
        f"<domain type='kvm'><name>{escape(name)}</name><memory unit='MiB'>512</memory><vcpu>1</vcpu>"
        f"<devices>{told}</devices></domain>"
    ).encode()


def vmx(disk: str, *, name: str = "app-1") -> bytes:
    """A VMX file of a VM with one disk."""
    lines = {
        "displayName": name,
        "memSize": "512",
        "numvcpus": "2",
        "scsi0.present": "TRUE",
        "scsi0.virtualDev": "pvscsi",
        "scsi0:0.present": "TRUE",
        "scsi0:0.fileName": disk,
    }
    return "".join(f'{key} = "{value}"\n' for key, value in lines.items()).encode()
