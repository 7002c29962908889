"""What the program of schema 0006 left in the tables that are new there."""

from typing import Any
from uuid import UUID

from tests.support.rows_0001 import AT, HOST

PROVIDER, VM_ID = UUID(int=41), "6695eb01-f6a4-8304-79aa-97f2502e193f"

ROWS: dict[str, list[dict[str, Any]]] = {
    "providers": [
        {
            "id": PROVIDER,
            "name": "kvm 1",
            "kind": "kvm",
            "url": "qemu+ssh://root@kvm1.example/system",
            "username": None,
            "ssh": {"username": "root", "host_key": "ssh-ed25519 AAAA"},
            "tls": {"verify": True, "ca_pem": None, "thumbprint": None},
            "proxy_host_id": HOST,
            "options": {"libvirt_socket": None},
            "max_concurrent_imports": 2,
            "sealed_secrets": b"sealed",
            "has_password": False,
            "has_ssh_private_key": True,
            "has_ssh_password": False,
            "status": {"state": "up", "version": "9.0.0"},
            "fetched_at": AT,
            "vm_count": 1,
            "reading_id": None,
            "reading_until": None,
            "inventory_problem": None,
            "created_at": AT,
            "version": 3,
        }
    ],
    "provider_vms": [
        {
            "provider_id": PROVIDER,
            "vm_id": VM_ID,
            "name": "web",
            "state": "down",
            "summary": {"id": VM_ID, "name": "web", "state": "down"},
        }
    ],
}
