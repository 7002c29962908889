"""Examples for the OpenAPI document: one small site, as its clients see it."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.actions.check_import import ChosenDomain, ChosenHost, ImportCheck, RequiredBytes
from app.api.health import Health, Readiness
from app.api.kinds import KINDS, Kinds
from app.api.provider_examples import SOURCE_VM, provider_answers, provider_bodies
from app.errors import HostUnreachableError, SourceNotFoundError
from app.models.attempts import TimelineItem
from app.models.common import Page
from app.models.data_centers import DataCenterPublic, Network
from app.models.imports import AttemptPublic
from app.models.orphans import (
    Orphan,
    OrphanKind,
    OrphanPage,
    OrphanRemoval,
    OrphanRemovals,
    RemovalOutcome,
    UnreachablePlace,
)
from app.models.progress import DiskCopyState, DiskProgress, Progress
from app.models.proxy_hosts import HostState, HostStatus, ProxyHostPublic, VirtV2vStatus
from app.models.scans import ScanState
from app.models.source_vms import SourceVm, SourceVmDisk
from app.models.state import ImportState, Role, StepName
from app.models.storage_domains import DomainHostStatus, DomainState, DomainStatus, StorageDomainPublic
from app.models.tokens import ApiTokenCreated, ApiTokenPublic, StreamTicketCreated
from app.models.uploads import UploadPublic, UploadState
from app.models.vm import Concern, ConcernSeverity, Firmware, SourceNic
from app.models.vms import DiskLocation, DiskPublic, DiskState, VmPublic, VmState
from app.services.scan_specs import ScanItem, ScanPublic, ScanSummaryPublic
from app.services.specs import ImportSpecPublic, VmImportPublic

GIB: Final = 2**30
AT: Final = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def _id(number: int) -> UUID:
    return UUID(f"0196f1d2-7c1e-7000-8000-{number:012x}")


DATA_CENTER_ID, DOMAIN_ID, HOST_ID, IMPORT_ID = _id(1), _id(0xA), _id(0xB), _id(0xC)
VM_ID, DISK_ID, TOKEN_ID, ATTEMPT_ID = _id(0xD), _id(0xE), _id(0xF), _id(0x10)
UPLOAD_ID, PROVIDER_ID, SCAN_ID = _id(0x11), _id(0x12), _id(0x13)
HOST_KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZvciB0aGUgZXhhbXBsZXMgYWxvbmUsIG5vIGhvc3Qh"
FINGERPRINT: Final = "SHA256:rZB9j3TAz0Rj3bJUVb5UdSm1jV6nT2FJVX1yLqQ0XsE"

DATA_CENTER: Final = DataCenterPublic(
    id=DATA_CENTER_ID,
    name="north",
    description="Rooms 1 and 2",
    networks=(Network(name="servers", description="VLAN 20"),),
    problem=None,
)
STORAGE_DOMAIN: Final = StorageDomainPublic(
    id=DOMAIN_ID,
    data_center_id=DATA_CENTER_ID,
    name="store-1",
    kind="directory",
    settings={"path": "/srv/imported", "proxy_host_id": None},
    max_concurrent_imports=4,
    status=DomainStatus(
        state=DomainState.UP,
        checked_at=AT,
        free_bytes=800 * GIB,
        total_bytes=1000 * GIB,
        proxy_hosts=(
            DomainHostStatus(
                proxy_host_id=HOST_ID, usable=True, free_bytes=800 * GIB, total_bytes=1000 * GIB
            ),
        ),
    ),
)
PROXY_HOST: Final = ProxyHostPublic(
    id=HOST_ID,
    data_center_id=DATA_CENTER_ID,
    name="proxy-1",
    address="192.0.2.10",
    port=22,
    username="root",
    sudo=False,
    has_private_key=True,
    has_password=False,
    host_key=HOST_KEY,
    work_dir="/var/lib/v2v-import",
    virt_v2v_path="virt-v2v",
    source_roots=("/srv/exports",),
    environment={"LIBGUESTFS_BACKEND": "direct"},
    max_concurrent_imports=None,
    enabled=True,
    status=HostStatus(
        state=HostState.UP,
        checked_at=AT,
        offered_host_key=HOST_KEY,
        fingerprint=FINGERPRINT,
        virt_v2v=VirtV2vStatus(
            version="2.2.0",
            inputs=("disk", "libvirtxml", "ova"),
            outputs=("local", "null", "vdsm"),
            features=("virt-v2v-2.0", "mac-option"),
        ),
        cpu_count=8,
        memory_bytes=32 * GIB,
        free_bytes=200 * GIB,
        boot_id="6f1f7c3a-2a5e-4a0c-9e3b-0f4d2c1b7a90",
        running_imports=1,
    ),
)
TOKEN: Final = ApiTokenPublic(
    id=TOKEN_ID, name="night shift", role=Role.OPERATOR, created_at=AT, expires_at=None, revoked_at=None
)
IMPORT: Final = VmImportPublic(
    id=IMPORT_ID,
    state=ImportState.RUNNING,
    step=StepName.CONVERT_DISKS,
    stage="copying_disk",
    queue=None,
    spec=ImportSpecPublic.model_validate(
        {
            "source": {"kind": "ova", "path": "/srv/exports/web-1.ova"},
            "storage_domain_id": str(DOMAIN_ID),
            "vm": {"name": "web-1"},
            "labels": {"team": "web"},
        }
    ),
    storage_domain_id=DOMAIN_ID,
    proxy_host_id=HOST_ID,
    batch_id=None,
    vm_id=VM_ID,
    attempt=1,
    attempts=(
        AttemptPublic(
            number=1, proxy_host_id=HOST_ID, started_at=AT, finished_at=None, outcome=None, problem=None
        ),
    ),
    retry=None,
    priority=5,
    labels={"team": "web"},
    progress=Progress(
        percent=42.5,
        bytes_copied=4_563_402_752,
        bytes_total=10 * GIB,
        bytes_per_second=104_857_600.0,
        eta_seconds=59.0,
    ),
    disk_progress=(
        DiskProgress(
            number=1,
            label="sda",
            capacity_bytes=10 * GIB,
            percent=42.5,
            state=DiskCopyState.COPYING,
            disk_id=DISK_ID,
        ),
    ),
    warnings=(),
    problem=None,
    created_by="night shift",
    created_at=AT,
    started_at=AT,
    finished_at=None,
    version=7,
)
CHECK: Final = ImportCheck(
    importable=True,
    concerns=(Concern(code="no_nics", severity=ConcernSeverity.INFO, message="The VM has no NICs."),),
    proxy_host=ChosenHost(id=HOST_ID, reason="it has the most free slots"),
    storage_domain=ChosenDomain(id=DOMAIN_ID, free_bytes=800 * GIB),
    command=("virt-v2v", "--machine-readable", "-i", "ova", "/srv/exports/web-1.ova", "-o", "local"),
    required_bytes=RequiredBytes(work=GIB, target=10 * GIB),
)
TIMELINE_ITEM: Final = TimelineItem(
    at=AT, kind="step_begun", attempt=1, details={"step": StepName.READ_CONFIG}
)
VM: Final = VmPublic(
    id=VM_ID,
    name="web-1",
    description="",
    state=VmState.DOWN,
    data_center_id=DATA_CENTER_ID,
    storage_domain_id=DOMAIN_ID,
    import_id=IMPORT_ID,
    cpu_count=2,
    memory_bytes=4 * GIB,
    os="debian12",
    firmware=Firmware.BIOS,
    nics=(SourceNic(id="nic-1", mac="52:54:00:12:34:56", network="servers", model="virtio"),),
    disk_ids=(DISK_ID,),
    problem=None,
)
DISK: Final = DiskPublic(
    id=DISK_ID,
    vm_id=VM_ID,
    alias="web-1_Disk1",
    state=DiskState.OK,
    capacity_bytes=10 * GIB,
    actual_bytes=3 * GIB,
    format="qcow2",
    allocation="sparse",
    bus="virtio",
    location=DiskLocation(proxy_host_id=None, path="/srv/imported/web-1/web-1-sda"),
)

UPLOAD: Final = UploadPublic(
    id=UPLOAD_ID,
    file_name="web-1.ova",
    length_bytes=4_563_402_752,
    offset_bytes=1_048_576,
    state=UploadState.RECEIVING,
    proxy_host_id=HOST_ID,
    created_by="night shift",
    created_at=AT,
    expires_at=AT + timedelta(days=1),
)
SCAN_SUMMARY: Final = ScanSummaryPublic.model_validate(
    {
        "id": SCAN_ID,
        "state": ScanState.SUCCEEDED,
        "proxy_host_id": HOST_ID,
        "source": {"kind": "folder", "path": "/srv/exports"},
        "deep": False,
        "item_count": 2,
        "complete": True,
        "problem": None,
        "created_by": "night shift",
        "created_at": AT,
        "started_at": AT,
        "finished_at": AT,
        "version": 3,
    }
)
SCAN: Final = ScanPublic(
    **dict(SCAN_SUMMARY),
    items=(
        ScanItem.model_validate(
            {
                "path": "/srv/exports/web-1.ova",
                "source": {"kind": "ova", "path": "/srv/exports/web-1.ova"},
                "vm": SourceVm(
                    id="web-1",
                    name="web-1",
                    path="/srv/exports/web-1.ova",
                    cpu_count=2,
                    memory_bytes=4 * GIB,
                    firmware=Firmware.BIOS,
                    os="debian12_64Guest",
                    disk_count=1,
                    capacity_bytes=10 * GIB,
                    importable=True,
                    disks=(
                        SourceVmDisk(
                            id="vmdisk1",
                            label="Hard disk 1",
                            capacity_bytes=10 * GIB,
                            used_bytes=GIB,
                            format="vmdk",
                            bus="scsi",
                        ),
                    ),
                    nics=VM.nics,
                ),
                "problem": None,
            }
        ),
        ScanItem.model_validate(
            {
                "path": "/srv/exports/db.xml",
                "source": {"kind": "libvirt_xml", "path": "/srv/exports/db.xml"},
                "vm": None,
                "problem": SourceNotFoundError(
                    "There is no '/srv/exports/db.qcow2' on the proxy host."
                ).to_problem(),
            }
        ),
    ),
)
ORPHAN: Final = Orphan(
    id=UUID("0196f1d2-7c1e-8a5b-9f3c-7c1e0d9b2a64"),
    kind=OrphanKind.ATTEMPT_DIRECTORY,
    proxy_host_id=HOST_ID,
    storage_domain_id=None,
    attempt_id=ATTEMPT_ID,
    import_id=IMPORT_ID,
    path=f"/var/lib/v2v-import/attempts/{ATTEMPT_ID}",
    size_bytes=3 * GIB,
    created_at=AT,
    running=True,
)
UNREACHABLE: Final = UnreachablePlace(
    proxy_host_id=_id(0x1B),
    storage_domain_id=None,
    problem=HostUnreachableError("192.0.2.11:22 did not answer within 15 s.").to_problem(),
)

ANSWERS: Final[tuple[BaseModel, ...]] = (
    DATA_CENTER,
    STORAGE_DOMAIN,
    PROXY_HOST,
    *provider_answers(PROVIDER_ID, HOST_ID, AT),
    TOKEN,
    ApiTokenCreated(**TOKEN.model_dump(), token="v2v_…"),  # noqa: S106  # an example
    StreamTicketCreated(ticket="v2vt_…", expires_at=AT),
    SCAN,
    Page[ScanSummaryPublic](items=[SCAN_SUMMARY], next_cursor=None),
    IMPORT,
    CHECK,
    Kinds(
        sources=KINDS.sources[:1],
        providers=KINDS.providers[:1],
        destinations=KINDS.destinations[:1],
        steps=KINDS.steps,
        concerns=KINDS.concerns[:1],
        problems=KINDS.problems[:1],
    ),
    Health(),
    Readiness(
        ready=True,
        database=True,
        schema_version="0001",
        redis=True,
        workers=1,
        code=None,
        problem=None,
    ),
    VM,
    DISK,
    OrphanPage(items=[ORPHAN], next_cursor=None, unreachable=[UNREACHABLE]),
    OrphanRemovals(items=(OrphanRemoval(id=ORPHAN.id, outcome=RemovalOutcome.REMOVED),)),
    Page[DataCenterPublic](items=[DATA_CENTER], next_cursor=None),
    Page[StorageDomainPublic](items=[STORAGE_DOMAIN], next_cursor=None),
    Page[ProxyHostPublic](items=[PROXY_HOST], next_cursor=None),
    Page[ApiTokenPublic](items=[TOKEN], next_cursor=None),
    Page[VmImportPublic](items=[IMPORT], next_cursor="AZbx0nwecACAAAAAAAAADA"),
    Page[TimelineItem](items=[TIMELINE_ITEM], next_cursor=None),
    UPLOAD,
    Page[UploadPublic](items=[UPLOAD], next_cursor=None),
    Page[VmPublic](items=[VM], next_cursor=None),
    Page[DiskPublic](items=[DISK], next_cursor=None),
)
"""What operations answer."""

DIRECTORY_DOMAIN: Final = {
    "data_center_id": str(DATA_CENTER_ID),
    "name": "store-1",
    "kind": "directory",
    "settings": {"path": "/srv/imported"},
}
BODIES: Final[dict[str, dict[str, Any]]] = {
    "createDataCenter": {
        "default": {"value": {"name": "north", "networks": [{"name": "servers", "description": "VLAN 20"}]}}
    },
    "updateDataCenter": {
        "networks": {"summary": "Networks are replaced", "value": {"networks": [{"name": "servers"}]}}
    },
    "createStorageDomain": {
        "directory": {"summary": "A directory on the proxy hosts", "value": DIRECTORY_DOMAIN},
        "ovirt_data": {
            "summary": "A mounted oVirt data domain",
            "value": {
                **DIRECTORY_DOMAIN,
                "kind": "ovirt_data",
                "settings": {"path": "/rhev/data-center/mnt/nas/0196f1d2-7c1e-7000-8000-0000000000aa"},
            },
        },
        "null": {
            "summary": "A rehearsal: nothing is kept",
            "value": {**DIRECTORY_DOMAIN, "name": "rehearsal", "kind": "null", "settings": {}},
        },
    },
    "updateStorageDomain": {
        "limit": {"summary": "One import at a time", "value": {"max_concurrent_imports": 1}},
        "path": {"summary": "Settings are merged", "value": {"settings": {"path": "/srv/imported-2"}}},
    },
    "createProxyHost": {
        "default": {
            "value": {
                "data_center_id": str(DATA_CENTER_ID),
                "name": "proxy-1",
                "address": "192.0.2.10",
                "private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\n…\n-----END OPENSSH PRIVATE KEY-----\n",
                "source_roots": ["/srv/exports"],
            }
        }
    },
    "updateProxyHost": {
        "accept": {"summary": "Accept the key that it offers", "value": {"host_key": HOST_KEY}},
        "drain": {"summary": "Begin nothing new there", "value": {"enabled": False}},
    },
    **provider_bodies(HOST_ID, HOST_KEY),
    "createScan": {
        "folder": {
            "summary": "A folder that holds many VMs",
            "value": {
                "proxy_host_id": str(HOST_ID),
                "source": {"kind": "folder", "path": "/srv/exports"},
            },
        },
        "ova": {
            "summary": "What is in an OVA",
            "value": {
                "proxy_host_id": str(HOST_ID),
                "source": {"kind": "ova", "path": "/srv/exports/web-1.ova"},
            },
        },
    },
    "createToken": {"default": {"value": {"name": "night shift", "role": "operator"}}},
    "removeOrphans": {"default": {"value": {"ids": [str(ORPHAN.id)]}}},
    "createStreamTicket": {"default": {"value": {"path": f"/v1/imports/{IMPORT_ID}/events"}}},
}
"""Requests, besides those that stand at their routes."""

UPLOAD_METADATA: Final = ",".join(
    f"{key} {b64encode(value.encode()).decode()}"
    for key, value in (("filename", UPLOAD.file_name), ("proxy_host_id", str(HOST_ID)))
)
PARAMETERS: Final[dict[str, str | int]] = {
    "data_center_id": str(DATA_CENTER_ID),
    "storage_domain_id": str(DOMAIN_ID),
    "proxy_host_id": str(HOST_ID),
    "import_id": str(IMPORT_ID),
    "vm_id": str(VM_ID),
    "provider_id": str(PROVIDER_ID),
    "source_vm_id": SOURCE_VM.id,
    "disk_id": str(DISK_ID),
    "token_id": str(TOKEN_ID),
    "upload_id": str(UPLOAD_ID),
    "scan_id": str(SCAN_ID),
    "Upload-Length": UPLOAD.length_bytes,
    "Upload-Offset": UPLOAD.offset_bytes,
    "Upload-Metadata": UPLOAD_METADATA,
    "Upload-Checksum": "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
    "Tus-Resumable": "1.0.0",
    "If-Match": '"7"',
    "Idempotency-Key": "5f0c1f2e-import-web-1",
}
TEXTS: Final[dict[str, str]] = {
    "getImportLog": "virt-v2v: This is virt-v2v 2.2.0\n[   0.0] Setting up the source: -i ova\n",
    "getVmMetadata": '<domain type="kvm"><name>web-1</name></domain>\n',
    "getImportBundle": "PK…",
    "getMetrics": '# TYPE v2v_import_imports gauge\nv2v_import_imports{state="running"} 3\n',
}
