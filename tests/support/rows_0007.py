"""What the program of schema 0007 left in the table that is new there."""

from typing import Any
from uuid import UUID

from tests.support.rows_0001 import AT, HOST

SCAN = UUID(int=41)

ROWS: dict[str, list[dict[str, Any]]] = {
    "scans": [
        {
            "id": SCAN,
            "proxy_host_id": HOST,
            "source": {"kind": "folder", "path": "/srv/exports"},
            "deep": True,
            "state": "succeeded",
            "found": [
                {
                    "path": "/srv/exports/web.ova",
                    "source": {"kind": "ova", "path": "/srv/exports/web.ova", "vm_id": None},
                    "vm": {"id": "web", "name": "web"},
                    "problem": None,
                }
            ],
            "complete": True,
            "problem": None,
            "created_by": "night shift",
            "created_at": AT,
            "started_at": AT,
            "finished_at": AT,
            "worker_id": None,
            "turn": 1,
            "forgotten": False,
            "version": 3,
        }
    ]
}
