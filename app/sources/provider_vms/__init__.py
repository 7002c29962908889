"""How VMs of each kind of provider are imported. A kind is one file and one line here."""

from app.errors import UnsupportedPropertyError
from app.sources.provider_vms.base import ProviderSource
from app.sources.provider_vms.kvm import KvmVms
from app.sources.provider_vms.vmware import VmwareVms
from app.sources.provider_vms.xen import XenVms

PROVIDER_SOURCES: tuple[ProviderSource, ...] = (
    KvmVms(),
    VmwareVms(),
    XenVms(),
)


def provider_source_of(kind: str) -> ProviderSource:
    """Raises UnsupportedPropertyError for a kind whose VMs can only be listed."""
    for source in PROVIDER_SOURCES:
        if source.kind == kind:
            return source
    raise UnsupportedPropertyError(f"VMs of a provider of kind {kind!r} can be listed, but not imported.")
