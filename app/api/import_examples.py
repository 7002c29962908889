"""Examples of import requests, as they stand in the OpenAPI document."""

from typing import Final

from fastapi.openapi.models import Example

CREATE: Final[dict[str, Example]] = {
    "ova": {
        "summary": "An OVA, with a new name and network",
        "value": {
            "source": {"kind": "ova", "path": "/srv/exports/web-1.ova"},
            "storage_domain_id": "0196f1d2-7c1e-7000-8000-00000000000a",
            "vm": {"name": "web-1"},
            "disk_defaults": {"format": "qcow2", "allocation": "sparse"},
            "nics": [{"network": "VM Network", "target": "servers"}],
            "labels": {"team": "web"},
        },
    },
    "disk": {
        "summary": "A disk image, to any storage domain of a data center",
        "value": {
            "source": {"kind": "disk", "path": "/srv/images/db.qcow2"},
            "data_center_id": "0196f1d2-7c1e-7000-8000-000000000001",
            "priority": 9,
        },
    },
}
PATCH: Final[dict[str, Example]] = {
    "priority": {"summary": "Let it go first", "value": {"priority": 9}},
    "labels": {"summary": "Add one label, remove another", "value": {"labels": {"team": "db", "old": None}}},
}
CANCEL: Final[dict[str, Example]] = {"default": {"value": {"force": False}}}
RETRY: Final[dict[str, Example]] = {
    "as before": {"value": {}},
    "accepting": {
        "summary": "In spite of a concern",
        "value": {"accept_concerns": ["no_disks"]},
    },
}
