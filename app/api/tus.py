"""The tus protocol 1.0 (tus.io): its headers, read and written; no bytes pass through here."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Header, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InvalidRequestError, UnsupportedTusExtensionError, UnsupportedTusVersionError
from app.models.uploads import Upload
from app.proxy.uploads import Checksum

PATH: Final = "/v1/uploads"
VERSION: Final = "1.0.0"
EXTENSIONS: Final = ("creation", "creation-with-upload", "termination", "checksum", "expiration")
ALGORITHMS: Final = ("sha1", "sha256")
MEDIA_TYPE: Final = "application/offset+octet-stream"
LONGEST_NAME: Final = 255
"""Bytes of a file's name on the proxy host."""
LONGEST_METADATA: Final = 8192
OVERRIDES: Final = frozenset({"PATCH", "DELETE", "HEAD"})
LONGEST_LENGTH: Final = 2**63 - 1

TUS_RESUMABLE = Annotated[
    str | None,
    Header(
        alias="Tus-Resumable",
        description="The version of the protocol; `1.0.0`.",
    ),
]


def _check(request: Request, tus_resumable: TUS_RESUMABLE = None) -> None:
    if tus_resumable not in {None, VERSION}:
        raise UnsupportedTusVersionError(f"The request speaks {tus_resumable!r}; {VERSION} is spoken here.")
    for name in ("Upload-Defer-Length", "Upload-Concat"):
        if name in request.headers:
            raise UnsupportedTusExtensionError(f"{name} is not supported.")


TusDep = Annotated[None, Depends(_check)]
"""The request speaks our version, if it says which, and asks for no extension that changes its meaning."""


def metadata_in(text: str) -> dict[str, str]:
    """`Upload-Metadata`: pairs of a key and a base64 value. Raises InvalidRequestError."""
    if len(text) > LONGEST_METADATA:
        raise InvalidRequestError(f"Upload-Metadata is longer than {LONGEST_METADATA} characters.")
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = pair.partition(" ")
        if key in found:
            raise InvalidRequestError(f"Upload-Metadata has {key!r} twice.")
        try:
            found[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InvalidRequestError(
                f"The value of {key!r} in Upload-Metadata is no base64 UTF-8."
            ) from error
    return found


def file_name_in(metadata: Mapping[str, str]) -> str:
    """Raises InvalidRequestError."""
    name = metadata.get("filename", "")
    if not name or "\0" in name or len(name.encode()) > LONGEST_NAME:
        raise InvalidRequestError(
            f"Upload-Metadata needs a `filename` of 1 to {LONGEST_NAME} bytes, without a NUL character."
        )
    return name


def place_in(metadata: Mapping[str, str]) -> tuple[UUID | None, UUID | None]:
    """The proxy host or the data center, exactly one of them. Raises InvalidRequestError."""
    host, center = metadata.get("proxy_host_id"), metadata.get("data_center_id")
    if (host is None) == (center is None):
        raise InvalidRequestError(
            "Upload-Metadata needs exactly one of `proxy_host_id` and `data_center_id`."
        )
    try:
        return UUID(host) if host is not None else None, UUID(center) if center is not None else None
    except ValueError as error:
        raise InvalidRequestError(f"{host or center!r} in Upload-Metadata is no id.") from error


def checksum_in(text: str | None) -> Checksum | None:
    """`Upload-Checksum`: an algorithm and a base64 digest. Raises InvalidRequestError."""
    if text is None:
        return None
    algorithm, _, encoded = text.partition(" ")
    if algorithm not in ALGORITHMS:
        raise InvalidRequestError(f"Upload-Checksum knows {' and '.join(ALGORITHMS)}, not {algorithm!r}.")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise InvalidRequestError("Upload-Checksum has no base64 digest.") from error
    if len(digest) != hashlib.new(algorithm).digest_size:
        raise InvalidRequestError(f"Upload-Checksum has no digest of {algorithm}.")
    return Checksum(algorithm, digest)


def capabilities(limit_bytes: int) -> dict[str, str]:
    """What is spoken here."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(limit_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def progress(upload: Upload) -> dict[str, str]:
    """How far the upload is, and how long it stays."""
    return {"Upload-Offset": str(upload.offset_bytes), "Upload-Expires": _http_date(upload.expires_at)}


def description(upload: Upload) -> dict[str, str]:
    """All that a client needs to go on with the upload."""
    told = {"Upload-Length": str(upload.length_bytes), "Upload-Metadata": upload.metadata_text}
    return progress(upload) | told | {"Cache-Control": "no-store"}


def _http_date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


def is_upload_stream(scope: Scope) -> bool:
    """Whether the body is a part of an upload: such a one is never held in memory as a whole."""
    media_type = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
    is_there = scope["path"] == PATH or scope["path"].startswith(f"{PATH}/")
    return is_there and media_type == MEDIA_TYPE


class TusHeaders:
    """Pure ASGI: every answer about uploads, problems too, says the version; a method may be overridden."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PATH):
            await self._app(scope, receive, send)
            return
        wanted = Headers(scope=scope).get("x-http-method-override", "").upper()
        if scope["method"] == "POST" and wanted in OVERRIDES:
            scope["method"] = wanted

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Tus-Resumable"] = headers["Tus-Version"] = VERSION
            await send(message)

        await self._app(scope, receive, told)
