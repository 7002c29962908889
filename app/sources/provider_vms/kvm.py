"""VMs of KVM hosts."""

from typing import ClassVar

from app.sources.provider_vms.libvirt import LibvirtVms


class KvmVms(LibvirtVms):
    kind: ClassVar[str] = "kvm"
    hypervisor: ClassVar[str] = "kvm"
