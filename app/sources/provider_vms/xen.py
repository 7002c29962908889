"""VMs of Xen hosts: virt-v2v takes Xen's drivers out of the guest, for it is told whose it was."""

from typing import ClassVar

from app.sources.provider_vms.libvirt import LibvirtVms


class XenVms(LibvirtVms):
    kind: ClassVar[str] = "xen"
    hypervisor: ClassVar[str] = "xen"
