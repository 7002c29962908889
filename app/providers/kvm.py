"""KVM hosts, asked through libvirt."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from pydantic import Field

from app.models.common import HostPath, Shape
from app.models.providers import ProviderCreateBase
from app.providers.urls import ProviderUrl, Reach, Scheme

SOCKETS: Final = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock", "/var/run/libvirt/libvirt-sock")
"""libvirtd's; that of the daemon for this hypervisor alone; where older systems have it."""
SYSTEM: Final = frozenset({"/system"})
INSTANCES: Final = SYSTEM | {"/session"}


class KvmOptions(Shape):
    libvirt_socket: HostPath | None = None
    """libvirt's Unix socket on the host; null: where it usually is."""


class KvmProviderCreate(ProviderCreateBase):
    """A KVM host: `qemu+ssh://root@host/system`, `qemu+tls://host/system`."""

    kind: Literal["kvm"]
    options: KvmOptions = Field(default_factory=KvmOptions)


class Kvm:
    kind: ClassVar[str] = "kvm"
    title: ClassVar[str] = "KVM (libvirt)"
    child: ClassVar[str] = "libvirt"
    schemes: ClassVar[Mapping[str, Scheme]] = {
        "qemu+ssh": Scheme(Reach.SSH, 22, SYSTEM, takes_username=True),
        "qemu+tls": Scheme(Reach.TCP, 16514, SYSTEM),
        "qemu+tcp": Scheme(Reach.TCP, 16509, SYSTEM),
        "qemu": Scheme(Reach.LOCAL, paths=INSTANCES),
        "qemu+unix": Scheme(Reach.LOCAL, paths=INSTANCES),
        "test": Scheme(Reach.LOCAL, has_free_path=True),
    }
    Options: type[KvmOptions] = KvmOptions
    Create: type[ProviderCreateBase] = KvmProviderCreate

    def sockets(self, options: KvmOptions) -> tuple[str, ...]:
        return (options.libvirt_socket,) if options.libvirt_socket else SOCKETS

    def ssh_port(self, url: ProviderUrl, options: KvmOptions) -> int | None:
        """Disks are brought by SSH, whatever libvirt is asked by."""
        return url.ssh_port

    def needs_ssh(self, url: ProviderUrl, options: KvmOptions) -> bool:
        return url.reach is Reach.SSH
