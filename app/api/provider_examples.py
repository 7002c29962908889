"""Examples of providers and their VMs for the OpenAPI document: part of the site in `examples`."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.models.common import Page
from app.models.providers import (
    InventoryState,
    InventoryStatus,
    ProviderPublic,
    ProviderState,
    ProviderStatus,
    ProviderVmPage,
    TlsChecks,
)
from app.models.source_vms import SourceVm, SourceVmDisk, SourceVmSummary
from app.models.vm import Firmware, PowerState, SourceNic

GIB: Final = 2**30
SOURCE_VM: Final = SourceVm(
    id="vm-1042",
    name="web-1",
    path="/north/vm/web/web-1",
    state=PowerState.DOWN,
    cpu_count=2,
    memory_bytes=4 * GIB,
    firmware=Firmware.BIOS,
    os="debian12_64Guest",
    disk_count=1,
    capacity_bytes=10 * GIB,
    concerns=(),
    importable=True,
    has_snapshots=False,
    disks=(
        SourceVmDisk(
            id="disk-2000",
            label="Hard disk 1",
            capacity_bytes=10 * GIB,
            used_bytes=3 * GIB,
            format="vmdk",
            bus="scsi",
        ),
    ),
    nics=(SourceNic(id="nic-4000", mac="00:50:56:12:34:56", network="servers", model="vmxnet3"),),
)


def provider_answers(provider_id: UUID, host_id: UUID, at: datetime) -> tuple[BaseModel, ...]:
    """What operations answer about the provider with this id."""
    provider = ProviderPublic(
        id=provider_id,
        name="vcenter-1",
        kind="vmware",
        url="https://vcenter.example",
        username="importer@vsphere.local",
        has_password=True,
        ssh=None,
        tls=TlsChecks(thumbprint=":".join(["3F"] * 20)),
        proxy_host_id=host_id,
        options={},
        max_concurrent_imports=8,
        status=ProviderStatus(
            state=ProviderState.UP, checked_at=at, product="VMware vCenter Server", version="8.0.3"
        ),
        inventory=InventoryStatus(state=InventoryState.READY, fetched_at=at, vm_count=1, problem=None),
    )
    summary = SourceVmSummary(**SOURCE_VM.model_dump(include=set(SourceVmSummary.model_fields)))
    return (
        provider,
        SOURCE_VM,
        Page[ProviderPublic](items=[provider], next_cursor=None),
        ProviderVmPage(items=[summary], next_cursor=None, fetched_at=at),
    )


def provider_bodies(host_id: UUID, host_key: str) -> dict[str, dict[str, Any]]:
    """Requests that make and change it."""
    vmware = {
        "name": "vcenter-1",
        "kind": "vmware",
        "url": "https://vcenter.example",
        "username": "importer@vsphere.local",
        "password": "…",
        "proxy_host_id": str(host_id),
    }
    kvm = {
        "name": "kvm-1",
        "kind": "kvm",
        "url": "qemu+ssh://root@kvm-1.example/system",
        "ssh": {"username": "root", "password": "…"},
    }
    accept = {"ssh": {"host_key": host_key, "password": "…"}}
    return {
        "createProvider": {
            "vmware": {"summary": "A vCenter, reached through a proxy host", "value": vmware},
            "kvm": {"summary": "A KVM host", "value": kvm},
        },
        "updateProvider": {
            "accept": {"summary": "Accept the key that it offers", "value": accept},
            "limit": {"summary": "One import at a time", "value": {"max_concurrent_imports": 1}},
        },
    }
