"""Rows as the program of schema 0001 left them: some in every table, imports in several states."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CENTER, DOMAIN, HOST, TOKEN, VM, DISK, WORKER = (UUID(int=number) for number in range(1, 8))
ENDED, RUNNING, QUEUED, CANCELLING = (UUID(int=number) for number in range(11, 15))
ENDED_ATTEMPT, RUNNING_ATTEMPT = UUID(int=21), UUID(int=22)
SPEC = {
    "source": {"kind": "disk", "path": "/srv/exports/web.img"},
    "storage_domain_id": str(DOMAIN),
    "data_center_id": None,
    "proxy_host_id": None,
    "vm": {"name": "web", "cpu_count": None, "memory_bytes": None, "os": None, "description": None},
    "disk_defaults": {"format": "raw", "allocation": "sparse"},
    "disks": [],
    "nics": [],
    "conversion": {"mode": "convert", "root": "first", "debug": False},
    "priority": 5,
    "start_after": None,
    "labels": {"team": "red"},
    "keep_on_failure": False,
    "accept_concerns": [],
    "has_luks_keys": False,
}
PROBLEM = {
    "type": "/problems/no_room",
    "title": "There is not enough free space",
    "status": 422,
    "detail": "There is not enough free space",
    "code": "no_room",
    "hint": None,
    "errors": [],
}


def _import(import_id: UUID, **members: Any) -> dict[str, Any]:
    given = {
        "id": import_id,
        "state": "queued",
        "direction": "forward",
        "spec": SPEC,
        "data_center_id": CENTER,
        "storage_domain_id": DOMAIN,
        "excluded_host_ids": [],
        "attempt": 1,
        "priority": 5,
        "labels": {"team": "red"},
        "waiting_since": AT,
        "troubles": 0,
        "force_cancel": False,
        "progress": {"percent": 12.5, "bytes_total": 1024},
        "disk_progress": [{"number": 1, "label": "web.img", "capacity_bytes": 1024, "state": "copying"}],
        "progress_seq": 7,
        "warnings": [{"code": "virt_v2v_warning", "message": "a warning"}],
        "created_by": "night shift",
        "created_at": AT,
        "version": 3,
        "published_version": 3,
        "turn": 2,
        "wakes": 0,
    }
    return {**given, **members}


def _attempt(attempt_id: UUID, import_id: UUID, **members: Any) -> dict[str, Any]:
    given = {
        "id": attempt_id,
        "import_id": import_id,
        "number": 1,
        "proxy_host_id": HOST,
        "storage_domain_id": DOMAIN,
        "facts": {"launched": {"machine_readable": True}},
        "followed": False,
        "log_bytes": 10,
        "kept_bytes": 7,
        "errors": ["an error"],
        "started_at": AT,
    }
    return {**given, **members}


ROWS: dict[str, list[dict[str, Any]]] = {
    "api_tokens": [
        {"id": TOKEN, "name": "admin", "role": "admin", "token_hash": "h", "created_at": AT, "version": 1}
    ],
    "data_centers": [
        {
            "id": CENTER,
            "name": "north",
            "description": "",
            "networks": [{"name": "red", "description": ""}],
            "created_at": AT,
            "version": 1,
        }
    ],
    "idempotency_records": [
        {
            "token_id": TOKEN,
            "method": "POST",
            "path": "/v1/imports",
            "key": "k",
            "body_hash": "b",
            "status": 202,
            "answer": b"sealed",
            "created_at": AT,
        }
    ],
    "stream_tickets": [{"ticket_hash": "t", "token_id": TOKEN, "path": "/v1/events", "expires_at": AT}],
    "storage_domains": [
        {
            "id": DOMAIN,
            "data_center_id": CENTER,
            "name": "store-1",
            "kind": "directory",
            "settings": {"path": "/srv/store", "proxy_host_id": None},
            "status": {"state": "up", "free_bytes": 4096},
            "created_at": AT,
            "version": 1,
        }
    ],
    "proxy_hosts": [
        {
            "id": HOST,
            "data_center_id": CENTER,
            "name": "proxy-1",
            "address": "192.0.2.10",
            "port": 22,
            "username": "root",
            "sudo": False,
            "work_dir": "/var/lib/v2v-import",
            "virt_v2v_path": "virt-v2v",
            "source_roots": ["/srv/exports"],
            "environment": {"VIRTIO_WIN": "/usr/share/virtio-win"},
            "enabled": True,
            "sealed_secrets": b"sealed",
            "has_private_key": True,
            "has_password": False,
            "status": {"state": "up", "cpu_count": 4, "virt_v2v": {"version": "2.2.0"}},
            "created_at": AT,
            "version": 1,
        }
    ],
    "vm_imports": [
        _import(ENDED, state="failed", problem=PROBLEM, finished_at=AT, proxy_host_id=HOST),
        _import(
            RUNNING, state="running", step="convert_disks", stage="copying", proxy_host_id=HOST, vm_id=VM
        ),
        _import(QUEUED, queue_reason="It waits for its turn."),
        _import(
            CANCELLING,
            state="cancelling",
            direction="back",
            retry={"at": "2026-01-02T03:04:05Z", "reason": "x"},
        ),
    ],
    "import_labels": [{"import_id": RUNNING, "key": "team", "value": "red"}],
    "attempts": [
        _attempt(ENDED_ATTEMPT, ENDED, outcome="failed", finished_at=AT, problem=PROBLEM),
        _attempt(RUNNING_ATTEMPT, RUNNING, followed=True),
    ],
    "artifacts": [
        {
            "id": UUID(int=31),
            "attempt_id": RUNNING_ATTEMPT,
            "kind": "target",
            "details": {"directories": ["/srv/store/web-1"]},
            "created_at": AT,
        }
    ],
    "reservations": [
        {
            "attempt_id": RUNNING_ATTEMPT,
            "import_id": RUNNING,
            "proxy_host_id": HOST,
            "storage_domain_id": DOMAIN,
            "work_bytes": 1024,
            "target_bytes": 2048,
        }
    ],
    "log_chunks": [
        {"attempt_id": RUNNING_ATTEMPT, "offset": 0, "length": 7, "data": b"x\x9c\x03\x00\x00\x00\x00\x01"}
    ],
    "timeline": [
        {
            "id": UUID(int=32),
            "import_id": RUNNING,
            "attempt": 1,
            "at": AT,
            "kind": "admitted",
            "details": {"reason": "the only one"},
        }
    ],
    "vms": [
        {
            "id": VM,
            "name": "web",
            "description": "",
            "state": "locked",
            "data_center_id": CENTER,
            "storage_domain_id": DOMAIN,
            "import_id": RUNNING,
            "firmware": "uefi",
            "nics": [{"id": "nic-1", "mac": None, "network": "red"}],
            "made": {},
            "created_at": AT,
            "version": 1,
        }
    ],
    "vm_names": [{"id": UUID(int=33), "data_center_id": CENTER, "name": "web", "import_id": RUNNING}],
    "disks": [
        {
            "id": DISK,
            "vm_id": VM,
            "number": 1,
            "alias": "web_Disk1",
            "state": "locked",
            "capacity_bytes": 1024,
            "format": "raw",
            "allocation": "sparse",
            "created_at": AT,
            "version": 1,
        }
    ],
    "workers": [{"id": WORKER, "host_name": "service-1", "process_id": 4711, "beat": 5, "started_at": AT}],
}
