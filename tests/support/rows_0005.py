"""What the program of schema 0005 left in the table that is new there."""

from typing import Any
from uuid import UUID

from tests.support.rows_0001 import AT, HOST

UPLOAD = UUID(int=31)

ROWS: dict[str, list[dict[str, Any]]] = {
    "uploads": [
        {
            "id": UPLOAD,
            "file_name": "web.ova",
            "metadata_text": "filename d2ViLm92YQ==",
            "length_bytes": 2**40,
            "offset_bytes": 2**39,
            "state": "receiving",
            "proxy_host_id": HOST,
            "created_by": "night shift",
            "created_at": AT,
            "expires_at": AT,
            "on_host": True,
            "forgotten": False,
            "version": 2,
        }
    ]
}
