"""Uploads as clients make them: the headers of tus, and a file's bytes."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import httpx

UPLOADS = "/v1/uploads"
MEDIA_TYPE = "application/offset+octet-stream"
TUS = {"Tus-Resumable": "1.0.0"}


def metadata(**values: str) -> str:
    return ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in values.items())


def creation(length: int, **values: str) -> dict[str, str]:
    """The headers that begin an upload."""
    return {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata(**values)}


def part(offset: int, **more: str) -> dict[str, str]:
    """The headers of the next bytes."""
    return {**TUS, "Upload-Offset": str(offset), "Content-Type": MEDIA_TYPE, **more}


class TusClient:
    """Speaks tus over HTTP, one request a method."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def create(self, length: int, **values: str) -> str:
        """The path of a new upload."""
        answer = await self.http.post(UPLOADS, headers=creation(length, **values))
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return answer.headers["location"]

    async def send(self, path: str, offset: int, data: Any, **more: str) -> httpx.Response:
        return await self.http.patch(path, content=data, headers=part(offset, **more))

    async def offset(self, path: str) -> int:
        answer = await self.http.head(path, headers=TUS)
        assert answer.status_code == httpx.codes.OK
        return int(answer.headers["upload-offset"])

    async def shown(self, path: str) -> Mapping[str, Any]:
        answer = await self.http.get(path)
        assert answer.status_code == httpx.codes.OK, answer.text
        shown: Mapping[str, Any] = answer.json()
        return shown
