"""The verbs of uploads: what the service asks of a proxy host about files that clients bring."""

import asyncio
import base64
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from app.errors import HostCommandError, HostConnectionLostError, HostDeadlineError
from app.proxy.answers import result_in
from app.proxy.base import Channel, Proxy

BEGIN_SECONDS: Final = 30.0
END_SECONDS: Final = 120.0
"""The file is flushed to the host's disk before the offset is told."""


@dataclass(frozen=True)
class Checksum:
    """What a chunk's bytes must come to; `algorithm` as Python's hashlib names it."""

    algorithm: str
    digest: bytes


class UploadFile(BaseModel):
    """A gathered upload. `form` is `tar`, `gzip`, `xml`, or the format of a disk image."""

    model_config = ConfigDict(frozen=True)

    name: str
    form: str


class Gathered(BaseModel):
    """Uploads that lie together in a directory, under their own names, in the order that was asked for."""

    model_config = ConfigDict(frozen=True)

    directory: str
    files: tuple[UploadFile, ...]


class Receiving:
    """An upload that is being written, by us alone."""

    def __init__(self, channel: Channel, answers: AsyncIterator[Any]) -> None:
        self._channel, self._answers = channel, answers

    async def send(self, data: bytes) -> None:
        """Waits while the host is slower. Raises what it refused with, HostConnectionLostError."""
        try:
            await self._channel.send(data)
        except HostConnectionLostError:
            # The program ends when it refuses something, and says so first.
            await self.finish()
            raise

    async def finish(self) -> int:
        """No more comes; the offset at which the upload is then, safe on the disk.

        Raises UploadChecksumError, UploadTooLongError, NoRoomError, UploadLostError, HostError.
        """
        await self._channel.end()
        return int((await _within(END_SECONDS, self._answers))["offset_bytes"])


class UploadAgent(ABC):
    """The part of a HostAgent that has to do with uploads."""

    proxy: Proxy
    _argv: Sequence[str]
    _installation_id: UUID
    _put_in_place: Callable[[], Awaitable[None]]

    @abstractmethod
    async def _ask(self, verb: str, timeout_seconds: float = ..., **request: Any) -> Any: ...

    async def create_upload(
        self, upload_id: UUID, name: str, length_bytes: int, *, others_bytes: int = 0
    ) -> None:
        """Make the upload's directory and its empty file, if it has room beside what others are to get.

        Raises NoRoomError, WorkDirUnusableError.
        """
        await self._ask(
            "create_upload",
            upload_id=upload_id,
            installation_id=self._installation_id,
            name=name,
            length_bytes=length_bytes,
            others_bytes=others_bytes,
        )

    async def upload_offset(self, upload_id: UUID) -> int:
        """How much of the file is there. Raises UploadLostError."""
        return int((await self._ask("upload_offset", upload_id=upload_id))["offset_bytes"])

    async def gather_uploads(self, upload_ids: Sequence[UUID]) -> Gathered:
        """Lay complete uploads together, under the names that clients gave them.

        Raises SourceNotFoundError, InvalidSourceError (incomplete, or two of one name).
        """
        ids = [str(upload_id) for upload_id in upload_ids]
        return Gathered.model_validate(await self._ask("gather_uploads", upload_ids=ids))

    async def remove_upload(self, upload_id: UUID) -> None:
        """Remove all of an upload; one that is gone is fine."""
        await self._ask("remove_upload", END_SECONDS, upload_id=upload_id)

    @asynccontextmanager
    async def receive_upload(
        self, upload_id: UUID, offset_bytes: int, checksum: Checksum | None
    ) -> AsyncIterator[Receiving]:
        """Write to an upload from its end on. A chunk whose checksum is wrong, or never compared, is dropped.

        Raises UploadLostError, UploadLockedError, UploadOffsetError, HostError.
        """
        request = {
            "work_dir": self.proxy.address.work_dir,
            "upload_id": str(upload_id),
            "offset_bytes": str(offset_bytes),
            "algorithm": checksum.algorithm if checksum else "",
            "digest": base64.b64encode(checksum.digest).decode() if checksum else "",
        }
        async with self.proxy.open([*self._argv, "receive"]) as channel:
            answers = _answers(channel)
            await channel.send(json.dumps(request).encode() + b"\n")
            await _within(BEGIN_SECONDS, answers)
            yield Receiving(channel, answers)


async def _answers(channel: Channel) -> AsyncIterator[Any]:
    """Each line's result. Raises what the program refused with."""
    rest = b""
    async for data in channel.chunks():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield result_in(json.loads(line))


async def _within(seconds: float, answers: AsyncIterator[Any]) -> Any:
    try:
        async with asyncio.timeout(seconds):
            return await anext(answers)
    except TimeoutError as error:
        raise HostDeadlineError(f"The proxy host did not answer within {seconds:g} s.") from error
    except StopAsyncIteration:
        raise HostCommandError("The program on the proxy host ended without an answer.") from None
