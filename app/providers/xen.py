"""Xen hosts, asked through libvirt."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from pydantic import Field

from app.models.common import HostPath, Shape
from app.models.providers import ProviderCreateBase
from app.providers.urls import ProviderUrl, Reach, Scheme

SOCKETS: Final = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtxend-sock", "/var/run/libvirt/libvirt-sock")
"""libvirtd's; that of the daemon for this hypervisor alone; where older systems have it."""
INSTANCES: Final = frozenset({"", "/system"})


class XenOptions(Shape):
    libvirt_socket: HostPath | None = None
    """libvirt's Unix socket on the host; null: where it usually is."""


class XenProviderCreate(ProviderCreateBase):
    """A Xen host: `xen+ssh://root@host/system`."""

    kind: Literal["xen"]
    options: XenOptions = Field(default_factory=XenOptions)


class Xen:
    kind: ClassVar[str] = "xen"
    title: ClassVar[str] = "Xen (libvirt)"
    child: ClassVar[str] = "libvirt"
    schemes: ClassVar[Mapping[str, Scheme]] = {
        "xen+ssh": Scheme(Reach.SSH, 22, INSTANCES, takes_username=True),
        "xen": Scheme(Reach.LOCAL, paths=INSTANCES),
    }
    Options: type[XenOptions] = XenOptions
    Create: type[ProviderCreateBase] = XenProviderCreate

    def sockets(self, options: XenOptions) -> tuple[str, ...]:
        return (options.libvirt_socket,) if options.libvirt_socket else SOCKETS

    def ssh_port(self, url: ProviderUrl, options: XenOptions) -> int | None:
        """Disks are brought by SSH, whatever libvirt is asked by."""
        return url.ssh_port

    def needs_ssh(self, url: ProviderUrl, options: XenOptions) -> bool:
        return url.reach is Reach.SSH
