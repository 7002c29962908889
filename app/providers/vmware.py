"""VMware: vCenter and ESXi."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.models.common import HostPath, Shape
from app.models.providers import ProviderCreateBase
from app.providers.urls import HIGHEST_PORT, SSH_PORT, ProviderUrl, Reach, Scheme


class Transport(StrEnum):
    """How the disks of VMs are read."""

    HTTPS = "https"
    VDDK = "vddk"
    SSH = "ssh"
    """From the datastores of an ESXi host, by `ssh`; not of a vCenter, whose hosts have keys of their own."""


class VmwareOptions(Shape):
    """How the disks of VMs are read."""

    vddk_libdir: HostPath | None = Field(default=None, examples=["/opt/vmware-vix-disklib-distrib"])
    """Where VMware's VDDK lies on the proxy hosts: with it, virt-v2v reads disks faster than over HTTPS."""
    transport: Transport | None = None
    """Null: VDDK where `vddk_libdir` is given, else HTTPS."""
    ssh_port: Annotated[int, Field(ge=1, le=HIGHEST_PORT)] = SSH_PORT
    """Of the ESXi host's SSH server, for the transport `ssh`."""

    @model_validator(mode="after")
    def _whole(self) -> "VmwareOptions":
        if self.transport is Transport.VDDK and self.vddk_libdir is None:
            raise PydanticCustomError("needed_with", "`vddk` needs `vddk_libdir`")
        return self

    @property
    def used_transport(self) -> Transport:
        return self.transport or (Transport.VDDK if self.vddk_libdir else Transport.HTTPS)


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

    def ssh_port(self, url: ProviderUrl, options: VmwareOptions) -> int | None:
        return options.ssh_port if self.needs_ssh(url, options) else None

    def needs_ssh(self, url: ProviderUrl, options: VmwareOptions) -> bool:
        return options.used_transport is Transport.SSH
