"""VMware: vCenter and ESXi."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from app.models.common import HostPath, Shape
from app.models.providers import ProviderCreateBase
from app.providers.urls import Reach, Scheme


class VmwareOptions(Shape):
    """How the disks of VMs are read."""

    vddk_libdir: HostPath | None = Field(default=None, examples=["/opt/vmware-vix-disklib-distrib"])
    """Where VMware's VDDK lies on the proxy hosts: with it, virt-v2v reads disks faster than over HTTPS."""


class VmwareProviderCreate(ProviderCreateBase):
    """A vCenter or an ESXi host: `https://vcenter.example`."""

    kind: Literal["vmware"]
    options: VmwareOptions = Field(default_factory=VmwareOptions)


class Vmware:
    kind: ClassVar[str] = "vmware"
    title: ClassVar[str] = "VMware vCenter or ESXi"
    child: ClassVar[str] = "vsphere"
    schemes: ClassVar[Mapping[str, Scheme]] = {
        "https": Scheme(Reach.HTTPS, 443, frozenset({"", "/sdk"})),
    }
    Options: type[VmwareOptions] = VmwareOptions
    Create: type[ProviderCreateBase] = VmwareProviderCreate

    def sockets(self, options: VmwareOptions) -> tuple[str, ...]:
        return ()
